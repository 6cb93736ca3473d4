#include "server/delta.h"

#include <algorithm>
#include <iterator>

#include "base/check.h"

namespace erne::server {
namespace {

template <class T>
bool is_empty(const T& member) {
  return member.empty();
}
bool is_empty(const std::optional<Finish>& finish) {
  return !finish.has_value();
}

void add(std::string& to, std::string&& from) {
  to += from;
}
template <class T>
void add(std::vector<T>& to, std::vector<T>&& from) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}
void add(std::vector<ToolCallDelta>& to, std::vector<ToolCallDelta>&& from) {
  for (ToolCallDelta& gained : from) {
    const auto call =
        std::ranges::find_if(to, [&](const auto& other) { return other.index == gained.index; });
    if (call == to.end()) {
      to.push_back(std::move(gained));
      continue;
    }
    call->id += gained.id;
    call->name += gained.name;
    call->arguments += gained.arguments;
  }
}
void add(std::optional<Finish>& to, std::optional<Finish>&& from) {
  if (from) to = from;
}

struct FinishWord {
  Finish finish;
  std::string_view word;
};
constexpr FinishWord kFinishWords[] = {
    {Finish::kStop, "stop"},
    {Finish::kLength, "length"},
    {Finish::kToolCalls, "tool_calls"},
};

}  // namespace

std::string_view finish_word(Finish finish) {
  for (const FinishWord& row : kFinishWords)
    if (row.finish == finish) return row.word;
  check_failed(__FILE__, __LINE__, "a finish", "with a word");
}

bool Delta::empty() const {
  bool all_empty = true;
  each_member([&](const auto& member) { all_empty = all_empty && is_empty(member); }, *this);
  return all_empty;
}

void Delta::append(Delta&& gained) {
  each_member([](auto& to, auto& from) { add(to, std::move(from)); }, *this, gained);
}

}  // namespace erne::server
