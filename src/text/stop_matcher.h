// Finds the first stop string in a text that arrives in pieces. The result does not depend on how
// the text is cut: the stop whose last byte comes first wins; of several that end together, the
// longest.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace erne::text {

class StopMatcher {
 public:
  // No stop may be empty. `include_stop`: the stop string itself is part of the text that goes out.
  StopMatcher(std::vector<std::string> stops, bool include_stop);

  // Text that is safe to send, valid until the next call. Held back is only an end that could be
  // the beginning of a stop. After a match everything more is dropped.
  std::string_view push(std::string_view text);
  // The text ends here: what was held back was no stop after all. Empty after a match.
  std::string_view finish();

  // Which stop ended the text.
  bool matched() const { return match_.has_value(); }
  const std::string& matched_stop() const;  // CHECKs matched()

 private:
  // One stop string, searched for by Knuth, Morris and Pratt's automaton.
  struct Pattern {
    std::string text;
    std::vector<size_t> border;  // border[n]: longest proper border of the first n bytes
    size_t progress = 0;         // bytes of `text` that the input ends with
    void step(char c);
  };

  std::vector<Pattern> patterns_;
  bool include_stop_;
  std::optional<size_t> match_;
  std::string held_;  // an end of the input that could be the beginning of a stop
  std::string safe_;
};

}  // namespace erne::text
