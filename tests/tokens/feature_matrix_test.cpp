// Every feature works with every other: a cell for each combination of model, weight format, KV
// type, chunking, prefix hits on each tier, preemption, drafts and sampler (of which one follows
// grammars in every other request), all of them run. In
// each cell some requests are served together and must have the tokens that each has alone with the
// same weights and KV type. A cell counts only if what it is named for happened.
#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>

#include "grammar/answer_constraint.h"
#include "grammar/letters_fixture.h"
#include "tensor/quantization.h"
#include "tokens/small_server.h"

namespace erne::tests {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
// Sanitizers look at the code, the release build counts the tokens.
constexpr DType kKvTypes[] = {DType::kBf16, DType::kFp8};
constexpr int kFirstSampler = 2;
#else
constexpr DType kKvTypes[] = {DType::kBf16, DType::kF32, DType::kI8, DType::kFp8};
constexpr int kFirstSampler = 0;
#endif
constexpr int kRequests = 6, kPromptTokens = 40, kNewTokens = 24;

sched::SamplingParams sampler(int kind, int request) {
  sched::SamplingParams sampling;
  sampling.temperature = 0;
  if (kind == 0) return sampling;
  sampling.temperature = 0.9f;
  sampling.seed = 100 + request;
  sampling.top_p = 0.9f;
  if (kind == 2) {
    sampling.top_k = 20;
    sampling.repetition_penalty = 1.2f;
    sampling.frequency_penalty = 0.3f;
  }
  return sampling;
}
constexpr const char* kSamplers[] = {"greedy", "top_p", "penalties and grammars"};

// A thought of five tokens at most, then words without end: some of their letters leave no choice,
// which is then drafted.
std::shared_ptr<const sched::RequestNotes> grammar_notes() {
  static const auto tokenizer = grammar::letters_tokenizer(/*with_more=*/false);
  static const auto vocabulary = grammar::Vocabulary::make(*tokenizer, kVocabulary).value();
  static const auto notes = [] {
    auto rules = std::make_shared<grammar::AnswerRules>();
    const TokenId end = *tokenizer->find("!");
    rules->thought = grammar::ThoughtRules{.end = end, .max_tokens = 5, .closing = {end}};
    rules->grammar =
        grammar::Grammar::compile(*vocabulary, {grammar::Kind::kRegex, "(, word:|[a-z]+[0-9])*"})
            .value();
    rules->end_ids = {2};
    rules->ends_late = true;
    return rules;
  }();
  return notes;
}

// All share the first half of their prompts.
std::vector<sched::Request> requests_with(int sampler_kind) {
  std::vector<sched::Request> out;
  for (int i = 0; i < kRequests; ++i) {
    std::mt19937 shared(1), own(2 + i);
    sched::Request& request = out.emplace_back();
    for (int t = 0; t < kPromptTokens; ++t)
      request.prompt.push_back((t < kPromptTokens / 2 ? shared() : own()) % kVocabulary);
    request.sampling = sampler(sampler_kind, i);
    if (sampler_kind == 2 && i % 2 == 0) request.notes = grammar_notes();
    request.stop.max_new_tokens = kNewTokens;
  }
  return out;
}

enum class Prefixes { kNone, kDevice, kHost };  // the tier where they are found
constexpr const char* kPrefixes[] = {"", ", prefix hits", ", prefix hits on the host"};

struct Cell {
  bool chunked;
  Prefixes prefixes;
  bool preempted, drafted;

  Setting setting(const Types& types) const {
    Setting s;
    s.isa = cpu::best_cpu_isa();
    s.types = types;
    s.max_rows = kRequests;
    s.chunk_prompts = chunked;
    s.max_tokens = chunked ? kRequests + 5 : 1024;
    s.num_blocks = s.least_blocks() * (preempted ? 1 : kRequests);
    s.share_prefixes = prefixes != Prefixes::kNone;
    if (prefixes == Prefixes::kHost) {
      s.host_blocks = s.least_blocks() * kRequests;
      if (!preempted) {  // blocks for half of the requests, who take those of the other half
        s.max_rows = kRequests / 2;
        s.num_blocks = s.max_rows * ((kPromptTokens + kNewTokens - 1) / s.block_tokens + 1);
      }
    }
    s.max_drafts = drafted ? 3 : 0;
    return s;
  }
  std::string name() const {
    return std::string(chunked ? "chunked" : "whole") + kPrefixes[static_cast<int>(prefixes)] +
           (preempted ? ", preempted" : "") + (drafted ? ", drafted" : "");
  }
};

std::vector<Cell> cells() {
  std::vector<Cell> out;
  for (const bool chunked : {false, true})
    for (const Prefixes prefixes : {Prefixes::kNone, Prefixes::kDevice, Prefixes::kHost})
      for (const bool preempted : {false, true})
        for (const bool drafted : {false, true})
          out.push_back({chunked, prefixes, preempted, drafted});
  return out;
}

std::vector<Tokens> alone(const Types& types, const std::vector<sched::Request>& requests) {
  Setting setting;
  setting.isa = cpu::best_cpu_isa();
  setting.types = types;
  setting.share_prefixes = false;
  SmallServer server(setting);
  std::vector<Tokens> out;
  for (const sched::Request& request : requests) out.push_back(server.serve({request}).front());
  return out;
}

// Returns how many requests differ.
int run(const Cell& cell, const Types& types, const std::vector<sched::Request>& requests,
        const std::vector<Tokens>& expected) {
  SmallServer server(cell.setting(types));
  int different = 0;
  const bool has_hits = cell.prefixes != Prefixes::kNone;
  for (int time = 0; time < (has_hits ? 2 : 1); ++time) {
    const std::vector<Tokens> found = server.serve(requests);
    for (int i = 0; i < kRequests; ++i) different += found[i] != expected[i];
  }
  const engine::EngineStats stats = server.stats();
  EXPECT_EQ(stats.cached_prompt_tokens > 0, has_hits);
  EXPECT_EQ(stats.host_cached_prompt_tokens > 0, cell.prefixes == Prefixes::kHost);
  EXPECT_EQ(stats.preemptions > 0, cell.preempted);
  EXPECT_EQ(stats.drafted_tokens > 0, cell.drafted);
  return different;
}

class FeatureMatrix : public testing::TestWithParam<std::tuple<bool, const char*>> {};

TEST_P(FeatureMatrix, EveryCellGivesTheTokensOfARequestAlone) {
  const auto [experts, scheme] = GetParam();
  int num_cells = 0, different = 0;
  for (const DType kv : kKvTypes)
    for (int kind = kFirstSampler; kind < static_cast<int>(std::size(kSamplers)); ++kind) {
      const bool plain = std::string_view(scheme) == "none";
      const Types types{kv == DType::kF32 ? DType::kF32 : DType::kBf16, kv,
                        plain ? nullptr : scheme, true, experts};
      const auto requests = requests_with(kind);
      const auto expected = alone(types, requests);
      for (const Cell& cell : cells()) {
        const int found = run(cell, types, requests, expected);
        EXPECT_EQ(found, 0) << name_of(types) << ", " << cell.name() << ", " << kSamplers[kind];
        different += found;
        ++num_cells;
      }
    }
  std::cout << "  " << (experts ? "experts" : "dense") << ", " << scheme << ": " << num_cells
            << " cells, " << different << " differing requests\n";
}

std::vector<const char*> scheme_names() {
  std::vector<const char*> names = {"none"};
  for (const QuantizationScheme& scheme : quantization_schemes()) names.push_back(scheme.name);
  return names;
}

INSTANTIATE_TEST_SUITE_P(Cells, FeatureMatrix,
                         testing::Combine(testing::Bool(), testing::ValuesIn(scheme_names())),
                         [](const auto& info) {
                           return std::string(std::get<0>(info.param) ? "experts_" : "dense_") +
                                  std::get<1>(info.param);
                         });

}  // namespace
}  // namespace erne::tests
