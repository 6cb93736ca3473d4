// What `erne bench decode|prefill|batched` ask of an engine: sequences that start together, a
// prompt each, then tokens.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace erne::bench {

enum class Phase { kPrefill, kDecode };
const char* phase_name(Phase phase);

struct ModelCase {
  std::string name;
  int num_sequences = 1;
  int prompt_tokens = 1;           // of each sequence
  int new_tokens = 0;              // of each sequence, after its first
  std::vector<Phase> phases = {};  // that are reported
  // The same prompt in every repetition, so that its KV comes from the prefix cache: where only
  // decoding is reported.
  bool same_prompt = false;

  // The longest a sequence may get.
  int max_sequence_tokens() const;
};

// Before all others, not reported.
ModelCase warm_up_case();
// One sequence with that much context. Context 0 is a prompt of one token, as llama-bench's tg.
std::vector<ModelCase> decode_cases(std::span<const int> contexts, int new_tokens);
// One prompt that nothing of is cached, and its first token: llama-bench's pp.
std::vector<ModelCase> prefill_cases(std::span<const int> prompts);
// The same cases as llama-batched-bench: prompts and decoding are reported apart.
std::vector<ModelCase> batched_cases(std::span<const int> num_sequences, int prompt_tokens,
                                     int new_tokens);

}  // namespace erne::bench
