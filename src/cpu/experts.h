// The mixture of experts: Backend::experts. Tokens are sorted by expert, so that each expert's
// weights are read once for all of its tokens.
#pragma once

#include <span>
#include <vector>

#include "backend/backend.h"
#include "cpu/products.h"

namespace erne::cpu {

class Experts {
 public:
  Experts(const Kernels& kernels, ThreadPool& pool, Products& products)
      : kernels_(kernels), pool_(pool), products_(products) {}

  // Returns how many experts computed anything.
  int64_t run(const ExpertsArgs& args);

 private:
  void sort_tokens(std::span<const int32_t> experts, int64_t k, size_t num_experts);
  std::span<const Product> products_of(const StackedLinear& weights);
  void run_tokens(const ExpertsArgs& args, int64_t first, int64_t count);

  const Kernels& kernels_;
  ThreadPool& pool_;
  Products& products_;
  Scratch gate_up_, ffn_, out_;
  // Rows are (token, choice) sorted by expert.
  std::vector<int32_t> ends_;    // [E] the row after each expert's last
  std::vector<int32_t> token_;   // [rows] the token of each
  std::vector<int32_t> row_;     // [T * k] where each token's choices are
  std::vector<Linear> linears_;  // [E] of the products of batch_
  std::vector<Product> batch_;
  std::vector<bool> used_;  // [E] by any token so far
};

}  // namespace erne::cpu
