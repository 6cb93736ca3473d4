// A small tokenizer for tests: three special tokens, then the characters from ' ' to '}', one token
// each: 97 in all, as many as the tests' small model has. `with_more`: then some longer tokens, and
// the marks <think>, </think> and <tool_call>, which its files do not call special.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "base/json.h"
#include "text/tokenizer.h"

namespace erne::grammar {

inline std::unique_ptr<text::Tokenizer> letters_tokenizer(bool with_more) {
  Json::Object vocab{{"<unk>", 0}, {"<s>", 1}, {"</s>", 2}};
  for (char c = ' '; c <= '}'; ++c)
    vocab.emplace_back(c == ' ' ? "\u2581" : std::string(1, c), static_cast<int>(vocab.size()));
  const auto added = [](const char* content, int id, bool special) {
    return Json(Json::Object{{"id", id},
                             {"content", content},
                             {"single_word", false},
                             {"lstrip", false},
                             {"rstrip", false},
                             {"normalized", false},
                             {"special", special}});
  };
  Json::Array added_tokens{added("<unk>", 0, true), added("<s>", 1, true), added("</s>", 2, true)};
  Json::Array merges;
  if (with_more) {
    const std::pair<const char*, const char*> pairs[] = {
        {"{", "\""}, {"\"", ":"}, {"t", "r"}, {"u", "e"}, {"tr", "ue"}, {"n", "a"}, {"m", "e"}};
    for (const auto& [left, right] : pairs) {
      merges.push_back(Json::Array{left, right});
      vocab.emplace_back(std::string(left) + right, static_cast<int>(vocab.size()));
    }
    for (const char* mark : {"<think>", "</think>", "<tool_call>"}) {
      const int id = static_cast<int>(vocab.size());
      vocab.emplace_back(mark, id);
      added_tokens.push_back(added(mark, id, false));
    }
  }
  const Json space = Json::Object{{"String", " "}};
  const Json json = Json::Object{
      {"version", "1.0"},
      {"added_tokens", std::move(added_tokens)},
      {"normalizer", Json::Object{{"type", "Replace"}, {"pattern", space}, {"content", "\u2581"}}},
      {"pre_tokenizer", nullptr},
      {"post_processor", nullptr},
      {"decoder",
       Json::Object{
           {"type", "Sequence"},
           {"decoders",
            Json::Array{Json::Object{{"type", "Replace"},
                                     {"pattern", Json::Object{{"String", "\u2581"}}},
                                     {"content", " "}},
                        Json::Object{{"type", "ByteFallback"}}, Json::Object{{"type", "Fuse"}}}}}},
      {"model", Json::Object{{"type", "BPE"},
                             {"dropout", nullptr},
                             {"unk_token", "<unk>"},
                             {"continuing_subword_prefix", nullptr},
                             {"end_of_word_suffix", nullptr},
                             {"fuse_unk", true},
                             {"byte_fallback", false},
                             {"ignore_merges", false},
                             {"vocab", std::move(vocab)},
                             {"merges", std::move(merges)}}}};
  text::TokenizerFiles files;
  files.json = json.dump();
  return text::Tokenizer::from_files(files).value();
}

}  // namespace erne::grammar
