// What the three sources of flags say, as text: the first half of parse_flags(). Knows which names
// there are, not what their values mean.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "apps/flags.h"
#include "base/status.h"

namespace erne::apps {

// Of what somebody gave, in a message about it.
inline constexpr size_t kMaxShownBytes = 80;

// A flag's values; a switch's are "true" or "false".
using Given = std::map<std::string, std::vector<std::string>>;

// The row of a name in one of a command's tables, or none.
struct KnownFlag {
  const Flag* flag = nullptr;
  const ForeignFlag* not_built = nullptr;
  const ForeignFlag* no_meaning = nullptr;

  bool exists() const { return flag != nullptr || not_built != nullptr || no_meaning != nullptr; }
  bool is_switch() const;
};
KnownFlag find_flag(const Command& command, const std::string& name);

Result<Given> given_on_line(const Command& command, std::span<const std::string> arguments);
// A map of flags to scalars or lists of scalars; null is not given.
Result<Given> given_in_file(const Command& command, const std::string& path);
Given given_in_environment(const Command& command, const Environment& environment);

Status unknown_flag(const Command& command, const std::string& name);

}  // namespace erne::apps
