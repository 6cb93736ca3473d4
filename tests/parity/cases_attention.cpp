#include "parity/cases.h"

namespace erne::parity {
namespace {

constexpr DType kI = DType::kI8, kE = DType::kFp8;

const AttentionCase kAttentionCases[] = {
    // heads, kv_heads, head_dim, block_tokens, kv, activation, {context, tokens}...
    {1, 1, 16, 16, kF, kF, {{0, 1}}},
    {2, 1, 16, 16, kB, kF, {{0, 7}, {3, 1}}},
    {16, 2, 128, 64, kB, kB, {{0, 5}, {63, 1}, {64, 1}, {17, 13}}},
    {5, 1, 128, 64, kF, kF, {{255, 1}, {255, 3}, {0, 33}}},
    {6, 6, 32, 16, kF, kF, {{100, 2}, {511, 1}, {512, 2}}},
    {10, 2, 128, 64, kB, kB, {{700, 1}, {0, 1}, {250, 9}}},
    {8, 1, 80, 32, kB, kF, {{1000, 4}}},
    {64, 1, 64, 16, kF, kB, {{300, 2}}},
    {3, 1, 272, 64, kB, kB, {{40, 3}}},
    {1, 1, 16, 16, kI, kF, {{0, 1}}},
    {16, 2, 128, 64, kI, kB, {{0, 5}, {63, 1}, {64, 1}, {17, 13}, {511, 1}}},
    {6, 6, 32, 48, kI, kF, {{100, 2}, {511, 1}, {512, 2}, {0, 33}}},
    {10, 2, 272, 32, kI, kB, {{300, 3}}},
    {4, 2, 64, 16, kI, kF, {{0, 40}, {280, 5}}, false, true},
    {4, 2, 64, 16, kB, kF, {{0, 40}, {280, 5}}, false, true},
    {16, 2, 128, 64, kE, kB, {{0, 5}, {63, 1}, {64, 1}, {17, 13}, {511, 1}}},
    {6, 6, 32, 48, kE, kF, {{100, 2}, {511, 1}, {512, 2}, {0, 33}}},
    {4, 2, 64, 16, kE, kF, {{0, 40}, {280, 5}}, false, true},
    {16, 2, 128, 64, kI, kB, {{0, 5}, {63, 1}, {17, 13}, {511, 1}}, false, false, true},
    {6, 3, 32, 48, kI, kF, {{100, 2}, {512, 2}, {0, 33}}, false, false, true},
    {6, 3, 32, 48, kE, kF, {{100, 2}, {512, 2}, {0, 33}}, false, false, true},
    // ERNIE-4.5-0.3B: one sequence far and near, a batch, a chunk
    {16, 2, 128, 64, kB, kB, {{511, 1}}, true},
    {16, 2, 128, 64, kB, kB, {{4095, 1}}, true},
    {16, 2, 128, 64, kB, kB, {{131071, 1}}, true},
    {16, 2, 128, 64, kB, kB, {{511, 1}, {511, 1}, {511, 1}, {511, 1}, {511, 1}, {511, 1}}, true},
    {16, 2, 128, 64, kB, kB, {{0, 512}}, true},
    {16, 2, 128, 64, kB, kB, {{1536, 512}}, true},
    {16, 2, 128, 64, kI, kB, {{4095, 1}}, true},
    {16, 2, 128, 64, kI, kB, {{1536, 512}}, true},
    {16, 2, 128, 64, kE, kB, {{4095, 1}}, true},
};

}  // namespace

std::span<const AttentionCase> attention_cases() {
  return kAttentionCases;
}

std::string case_name(const AttentionCase& c) {
  int tokens = 0, longest = 0;
  for (const SequenceRow& row : c.sequences) {
    tokens += row.num_tokens;
    longest = std::max(longest, row.context + row.num_tokens);
  }
  return "tokens" + std::to_string(tokens) + "_of" + std::to_string(c.sequences.size()) +
         "_longest" + std::to_string(longest) + "_heads" + std::to_string(c.heads) + "x" +
         std::to_string(c.kv_heads) + "_dim" + std::to_string(c.head_dim) + "_block" +
         std::to_string(c.block_tokens) + "_" + dtype_name(c.kv) + "_" + dtype_name(c.activation) +
         (c.extreme ? "_extreme" : "") + (c.fixed ? "_fixed" : "");
}

}  // namespace erne::parity
