// For tests: the files of tests/goldens/text.
#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "text/tokenizer.h"

namespace erne::text {

inline const std::filesystem::path kGoldens =
    std::filesystem::path(ERNE_SOURCE_DIR) / "tests/goldens/text";

inline std::string golden_text(const std::string& name) {
  std::ifstream file(kGoldens / name, std::ios::binary);
  CHECK(file.good());
  return {std::istreambuf_iterator<char>(file), {}};
}

inline Json golden_json(const std::string& name) {
  return std::move(Json::parse(golden_text(name))).value();
}

inline const Json kNothing;

inline Json or_null(const Json* value) {
  return value == nullptr ? Json() : *value;
}

inline const Tokenizer& golden_tokenizer() {
  static const std::unique_ptr<Tokenizer> tokenizer = Tokenizer::load(kGoldens).value();
  return *tokenizer;
}

inline std::vector<TokenId> ids_of(const Json& list) {
  std::vector<TokenId> ids;
  for (const Json& id : list.as_array()) ids.push_back(static_cast<TokenId>(id.as_int()));
  return ids;
}

inline const std::string& string_of(const Json& object, const char* key) {
  return object.find(key)->as_string();
}

}  // namespace erne::text
