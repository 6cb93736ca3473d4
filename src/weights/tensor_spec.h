// What one tensor of a model is, and where a checkpoint may keep it. A model's list of these
// (model/tensor_specs.h) is THE list: the loader fills it, random weights are made from it, and
// what it does not name is unused.
#pragma once

#include <string>
#include <vector>

#include "tensor/tensor_view.h"

namespace erne::weights {

enum class TensorKind {
  kLinear,  // [out, in]; some checkpoints store all of these as [in, out]; packed by the back end
  kExpert,  // a linear of one expert: of many that have a format of their own
  kRouter,  // a linear that is float32 throughout, whatever activations are
  kHead,    // a linear that a checkpoint may store the other way round than the rest
  kTable,   // [rows, columns] in every checkpoint; packed like a linear
  kVector,  // [n]; kept in the activation type
  kBias,    // [n], [1, n] in some checkpoints; float32 throughout
  kScale,   // [n], as many in any shape in checkpoints; float32 throughout; finite, not negative
};

constexpr bool is_matrix(TensorKind kind) {
  return kind != TensorKind::kVector && kind != TensorKind::kBias && kind != TensorKind::kScale;
}
// A checkpoint stores all of these the same way round.
constexpr bool turns_with_linears(TensorKind kind) {
  return kind == TensorKind::kLinear || kind == TensorKind::kExpert || kind == TensorKind::kRouter;
}

// A run of output rows that some checkpoints store as a tensor of its own.
struct TensorPart {
  std::string
      source;  // name in a -PT checkpoint; a -Paddle one says `ernie.` where this says `model.`
  int64_t rows;
};

// Tensors that are used as one, the same matrix of every expert of a layer: the members lie one
// behind the other in memory, and follow each other in a model's list.
struct StackMember {
  std::string stack;  // empty: of none
  int64_t index = 0, count = 0;
};

// One of the devices that share a model.
struct Rank {
  int index = 0, count = 1;
};

// What each of several ranks has of a tensor. Sizes are cut at multiples of `unit`.
struct Shard {
  enum Kind {
    kWhole,    // all of it
    kRows,     // an equal share of the rows of every part
    kColumns,  // an equal share of the columns
  };
  Kind kind = kWhole;
  int64_t unit = 1;
};

struct TensorSpec {
  std::string name;  // ours, e.g. "layers.3.qkv"
  TensorKind kind = TensorKind::kLinear;
  Shape shape;
  std::vector<TensorPart> parts;  // stacked along dimension 0; at least one
  std::string fused_source = {};  // name of all parts in one tensor, the same order; empty: none
  bool is_early = false;          // kExpert: in the first eighth of the layers
  StackMember member = {};
  Shard shard = {};
};

}  // namespace erne::weights
