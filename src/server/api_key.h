// Who may use the server: a bearer token (RFC 6750) that is one of the operator's keys.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace erne::server {

// `authorization`: the header's value. Without keys everybody is, whatever the header says. The
// time taken does not depend on how much of a key was guessed.
bool is_authorized(std::string_view authorization, const std::vector<std::string>& keys);

}  // namespace erne::server
