// Text files that a user names: a configuration, a template, a list of prompts. Whatever the name
// leads to (a folder, a pipe, a device, a file without end), reading it takes bounded time and
// memory.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/status.h"

namespace erne {

// The bytes of a regular file of at most `max_bytes`. kNotFound or kInvalid, naming `what` (a
// flag), the path and what is allowed.
Result<std::string> read_text_file(const std::string& path, size_t max_bytes,
                                   std::string_view what);

// Makes a file that must not exist yet, not even as a link.
Result<void> write_new_file(const std::string& path, std::string_view bytes, std::string_view what);

}  // namespace erne
