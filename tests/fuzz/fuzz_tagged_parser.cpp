// What a model writes, told apart by its tags: any text in any pieces gives what it gives whole.
// First byte: the style and where the text begins; second: how long the pieces are.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "server/parsers/tagged_parser.h"

namespace {

using namespace erne::server;

Delta parsed(uint8_t style, std::string_view text, size_t piece) {
  TaggedParser parser({(style & 1) != 0, (style & 2) != 0, (style & 4) != 0}, (style & 8) != 0,
                      [] { return "call"; });
  Delta all;
  for (size_t begin = 0; begin < text.size(); begin += piece)
    all.append(parser.push(text.substr(begin, piece)));
  all.append(parser.finish());
  return all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data + 2), size - 2);
  const Delta whole = parsed(data[0], text, std::max<size_t>(text.size(), 1));
  const Delta pieces = parsed(data[0], text, size_t{data[1]} % 16 + 1);
  CHECK(whole.reasoning == pieces.reasoning);
  CHECK(whole.content == pieces.content);
  CHECK_EQ(whole.tool_calls.size(), pieces.tool_calls.size());
  for (size_t i = 0; i < whole.tool_calls.size(); ++i) {
    CHECK(whole.tool_calls[i].name == pieces.tool_calls[i].name);
    CHECK(whole.tool_calls[i].arguments == pieces.tool_calls[i].arguments);
  }
  return 0;
}
