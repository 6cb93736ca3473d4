// JSON as checkpoints hold it. Tools write what the standard forbids and Python reads: NaN and
// Infinity, integers of any length, numbers beyond a double's range, halves of surrogate pairs, a
// byte order mark; disks and copies add NULs behind the end. None of that stops a start. What a
// client sends is read by Json::parse, which is strict.
#pragma once

#include <string_view>

#include "base/json.h"
#include "base/status.h"

namespace erne {

inline constexpr int kMaxFileDepth = 64;

// How numbers arrive: a value without a fraction is an integer however it is written (50.0, 5e1),
// as far as 64 bits hold it; anything else is a double, infinite where it is too large. Of a
// repeated key the last value counts and is the only one there. Bytes that are not UTF-8 and lone
// surrogates become U+FFFD. kInvalid names line and column; a text in UTF-16 or UTF-32 is refused
// as such. Time and memory are linear in the text. Any thread.
Result<Json> parse_json_file(std::string_view text, int max_depth = kMaxFileDepth);

// The text without the UTF-8 byte order mark some editors put in front: for files that are no JSON,
// too. kInvalid: the text is in UTF-16 or UTF-32.
Result<std::string_view> without_byte_order_mark(std::string_view text);

// Nothing but white space and NULs: what an interrupted download or a full disk leaves behind. A
// file that may be absent may be blank.
bool is_blank(std::string_view text);

}  // namespace erne
