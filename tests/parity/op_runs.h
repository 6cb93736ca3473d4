// A case made ready to run: inputs from a seed, outputs NaN between sentinels. Tests run it once,
// --perf many times.
#pragma once

#include <vector>

#include "backend/backend.h"
#include "parity/cases.h"
#include "parity/guarded_tensor.h"
#include "parity/staged_lists.h"

namespace erne::parity {

struct LinearRun {
  LinearRun(Backend& backend, const LinearCase& c);
  void run(Backend& backend) { backend.linear(packed, x.on(backend), y.on(backend)); }
  // What is multiplied, exactly: the decoded weights [out, in], and the activations [rows, in] as
  // the case's arithmetic rounds them.
  reference::Matrix weights() const;
  reference::Matrix inputs() const;

  GuardedTensor x;  // [rows, in]
  GuardedTensor w;  // [out, in]
  GuardedTensor y;  // [rows, out]
  DeviceBuffer storage;
  Linear packed;
};

// Paged KV of some sequences in blocks that lie anywhere, written by kv_write in small portions,
// and the rows that attend to it.
struct AttentionRun {
  AttentionRun(Backend& backend, const AttentionCase& c);
  void run(Backend& backend);
  StagedBatch staged(StagedLists& in) const;  // all rows
  // The tokens of sequence `s` that attend, as one step would see tokens [begin, end) of them.
  GuardedTensor run_part(Backend& backend, int s, int begin, int end);

  const AttentionCase& c;
  double scale;
  int64_t q_width, kv_width, qkv_width;
  std::vector<GuardedTensor> sequences;  // [positions, Q + 2K] of all positions of each
  std::vector<RaggedRow> rows;
  std::vector<int32_t> blocks;
  DeviceBuffer memory;
  StagedLists lists;
  std::vector<float> largest;  // of keys, then of values, where they are fixed
  KvLayerView kv;
  GuardedTensor qkv;  // [T, Q + 2K] of the tokens that attend
  GuardedTensor out;  // [T, Q]

 private:
  void write_kv(Backend& backend, int s);
};

}  // namespace erne::parity
