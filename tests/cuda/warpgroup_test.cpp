// Bulk copies, barrier objects and warpgroup instructions of the emulated device: that they do what
// a GPU's do, and that the emulation stops at what a GPU would not forgive.
#define ERNE_CUDA_EMULATED
#include <gtest/gtest.h>

#include <vector>

#include "cuda/language/warpgroup.h"
#include "cuda/runtime/launch.h"

namespace erne::cuda::inline emulated {
namespace {

constexpr int kColumns = 64;               // of accumulators
constexpr int kMatrix = 64 * kSwizzleRow;  // bytes of 64 rows in shared memory

// Where things lie in the block's shared memory.
Shared<std::byte> matrix(int i) {
  return shared_memory() + i * kMatrix;
}
Shared<Barrier> barrier() {
  return (shared_memory() + 2 * kMatrix).as<Barrier>();
}

// A kernel whose threads, a warpgroup, do what a function says.
struct Scripted {
  static constexpr int kThreads = kWarpgroup;
  using Script = void (*)(const Scripted& given);
  Script script;
  TensorMap map;
  Global<Bf16> in;
  Global<float> out;

  size_t shared_bytes() const { return 2 * kMatrix + 2 * sizeof(Barrier); }
  void run() const { script(*this); }
};

void make_barriers(int arrivals) {
  if (thread_index() == 0) {
    make_barrier(barrier(), arrivals);
    fence_async();
  }
  sync_block();
}
// The first box into matrix 0, and the phase in which it comes.
void copy_first_box(const Scripted& given) {
  make_barriers(1);
  if (thread_index() != 0) return;
  arrive_expecting(barrier(), kMatrix);
  copy_box(matrix(0), given.map, barrier(), 0, 0);
}
// Every number of a matrix, by generic writes.
void fill(int i, float value) {
  const Shared<Bf16> all = matrix(i).as<Bf16>();
  for (int at = thread_index(); at < kMatrix / 2; at += kWarpgroup) all.set(at, to_bf16(value));
}
void clear(Accumulators<kColumns>& d) {
  for (int i = 0; i < kColumns / 2; ++i) d.set(i, 0);
}

// 100 rows of 72 numbers, each of which depends on where it is.
constexpr int kRows = 100, kNumbers = 72;
float number(int row, int k) {
  return static_cast<float>(row - 3 * (k % 7));
}

class Warpgroup : public testing::Test {
 protected:
  Warpgroup() {
    for (int row = 0; row < kRows; ++row)
      for (int k = 0; k < kNumbers; ++k)
        static_cast<Bf16*>(in_)[row * kNumbers + k] = to_bf16(number(row, k));
  }
  ~Warpgroup() override {
    emulation::free_global(in_);
    emulation::free_global(out_);
  }

  TensorShape shape() const {
    return {
        .data = in_, .columns = kNumbers, .rows = kRows, .row_bytes = kNumbers * 2, .box_rows = 64};
  }
  const float* run(Scripted::Script script) { return run(script, make_tensor_map(shape())); }
  const float* run(Scripted::Script script, const TensorMap& map) {
    launch(stream_, {1}, Scripted{script, map, Global<Bf16>(in_), Global<float>(out_)});
    return static_cast<const float*>(out_);
  }
  void expect_fault(Scripted::Script script, const char* message) {
    EXPECT_DEATH(run(script), message);
  }

  Stream stream_;
  void* in_ = emulation::allocate_global(kRows * kNumbers * 2);
  void* out_ = emulation::allocate_global(64 * 64 * sizeof(float));
};

using WarpgroupDeathTest = Warpgroup;

TEST_F(Warpgroup, BulkCopiesArriveWithTheirPhase) {
  const float* const values = run([](const Scripted& given) {
    make_barriers(2);
    if (thread_index() == 0) {
      wait_barrier(barrier(), 1);  // is over before anything was
      arrive_expecting(barrier(), 48);
      copy_bulk(matrix(0).as<Bf16>(), given.in + 8, 48, barrier());
    }
    if (thread_index() == 77) arrive_expecting(barrier(), 0);
    wait_barrier(barrier(), 0);
    if (thread_index() < 24)
      given.out.set(thread_index(), to_float(matrix(0).as<Bf16>()[thread_index()]));
  });
  for (int k = 0; k < 24; ++k) EXPECT_EQ(values[k], number(0, 8 + k));
}

TEST_F(Warpgroup, PhasesFollowEachOther) {
  const float* const values = run([](const Scripted& given) {
    make_barriers(1);
    for (int phase = 0; phase < 3; ++phase) {
      if (thread_index() == 0) {
        arrive_expecting(barrier(), 16);
        copy_bulk(matrix(0).as<Bf16>(), given.in + 8 * phase, 16, barrier());
      }
      wait_barrier(barrier(), phase % 2);
      if (thread_index() == 5) given.out.set(phase, to_float(matrix(0).as<Bf16>()[0]));
      sync_block();
    }
  });
  for (int phase = 0; phase < 3; ++phase) EXPECT_EQ(values[phase], number(0, 8 * phase));
}

void store_matrix(const Scripted& given) {
  wait_barrier(barrier(), 0);
  for (int i = thread_index(); i < 64 * 64; i += kWarpgroup) {
    const auto at = static_cast<int>(swizzled(i * 2));
    given.out.set(i, to_float((matrix(0) + at).as<Bf16>()[0]));
  }
}

TEST_F(Warpgroup, BoxesAreSwizzledAndZeroBeyondTheTensor) {
  const float* const values = run([](const Scripted& given) {
    make_barriers(1);
    if (thread_index() == 0) {
      arrive_expecting(barrier(), kMatrix);
      copy_box(matrix(0), given.map, barrier(), 16, 70);
    }
    store_matrix(given);
  });
  for (int row = 0; row < 64; ++row)
    for (int k = 0; k < 64; ++k)
      EXPECT_EQ(values[row * 64 + k],
                row + 70 < kRows && k + 16 < kNumbers ? number(row + 70, k + 16) : 0);
}

TEST_F(Warpgroup, BoxesOfAStackAreOfOneMatrix) {
  TensorShape stack = shape();
  stack.rows = 50;
  stack.matrices = 2;
  stack.matrix_bytes = 50 * stack.row_bytes;
  const float* const values = run(
      [](const Scripted& given) {
        make_barriers(1);
        if (thread_index() == 0) {
          arrive_expecting(barrier(), kMatrix);
          copy_box(matrix(0), given.map, barrier(), 0, 20, 1);
        }
        store_matrix(given);
      },
      make_tensor_map(stack));
  EXPECT_EQ(values[0], number(70, 0));
  EXPECT_EQ(values[29 * 64 + 5], number(99, 5));
  EXPECT_EQ(values[30 * 64 + 5], 0);
}

// Where the swizzle puts pieces, as the table of the PTX ISA has it: row r's piece p at p xor r.
TEST(Swizzle, ExchangesPiecesOfEightRows) {
  for (uint32_t row = 0; row < 24; ++row)
    for (uint32_t piece = 0; piece < 8; ++piece)
      EXPECT_EQ(swizzled(row * 128 + piece * 16), row * 128 + (piece ^ row % 8) * 16);
}

// The layout of a descriptor, bit by bit.
TEST(MatrixDescriptor, IsAsThePtxIsaSays) {
  EXPECT_EQ(matrix_descriptor(0), 0x4000'0040'0001'0000u);
  EXPECT_EQ(matrix_descriptor(0x2C400), 0x4000'0040'0001'2C40u);
}

void store(const Scripted& given, const Accumulators<kColumns>& d) {
  for (int i = 0; i < kColumns / 2; ++i) {
    const int row = thread_index() / 32 * 16 + lane() / 4 + i / 2 % 2 * 8;
    const int column = i / 4 * 8 + lane() % 4 * 2 + i % 2;
    given.out.set(row * kColumns + column, d[i]);
  }
}

// left(row, k) of 16 inputs, and rows of the tensor as columns of the right operand.
template <class Left>
void expect_products(const float* values, const Left& left) {
  for (int row = 0; row < 64; ++row)
    for (int column = 0; column < 64; ++column) {
      float sum = 0.5f;
      for (int k = 0; k < 16; ++k) sum += left(row, k) * number(column, k + 32);
      EXPECT_EQ(values[row * 64 + column], sum) << row << ", " << column;
    }
}

TEST_F(Warpgroup, MultipliesRegistersBySharedMemory) {
  const float* const values = run([](const Scripted& given) {
    copy_first_box(given);
    Accumulators<kColumns> d;
    for (int i = 0; i < kColumns / 2; ++i) d.set(i, 0.5f);
    LeftOperand a;
    for (int word = 0; word < 4; ++word) {
      const int row = thread_index() / 32 * 16 + lane() / 4 + word % 2 * 8;
      const int k = lane() % 4 * 2 + word / 2 * 8;
      a.set(word,
            rounded_pair(static_cast<float>(row + 2 * k), static_cast<float>(row + 2 * k + 2)));
    }
    wait_barrier(barrier(), 0);
    fence_warpgroup();
    multiply_async(d, a, SwizzledMatrix(matrix(0)).sixteen(2));
    close_products();
    finish_products<0>();
    store(given, d);
  });
  expect_products(values, [](int row, int k) { return static_cast<float>(row + 2 * k); });
}

TEST_F(Warpgroup, MultipliesSharedMemoryBySharedMemory) {
  const float* const values = run([](const Scripted& given) {
    make_barriers(1);
    if (thread_index() == 0) {
      arrive_expecting(barrier(), 2 * kMatrix);
      copy_box(matrix(0), given.map, barrier(), 0, 0);
      copy_box(matrix(1), given.map, barrier(), 8, 30);
    }
    Accumulators<kColumns> d;
    for (int i = 0; i < kColumns / 2; ++i) d.set(i, 0.5f);
    wait_barrier(barrier(), 0);
    fence_warpgroup();
    multiply_async(d, SwizzledMatrix(matrix(1)).sixteen(1), SwizzledMatrix(matrix(0)).sixteen(2));
    close_products();
    finish_products<0>();
    store(given, d);
  });
  expect_products(values, [](int row, int k) { return number(row + 30, k + 24); });
}

TEST_F(Warpgroup, WritesOfThreadsMayBeReadBehindAFence) {
  const float* const values = run([](const Scripted& given) {
    fill(0, 2);
    fill(1, 3);
    fence_async();
    sync_block();
    Accumulators<kColumns> d;
    clear(d);
    fence_warpgroup();
    for (int i = 0; i < 4; ++i)
      multiply_async(d, SwizzledMatrix(matrix(0)).sixteen(i), SwizzledMatrix(matrix(1)).sixteen(i));
    close_products();
    finish_products<0>();
    store(given, d);
  });
  for (int i = 0; i < 64 * 64; ++i) EXPECT_EQ(values[i], 64 * 6);
}

TEST_F(Warpgroup, SumsAreCutOffOnACardOfThatKind) {
  const Scripted::Script script = [](const Scripted& given) {
    fill(0, 1);
    fill(1, 3.0f / 16);
    fence_async();
    sync_block();
    Accumulators<kColumns> d;
    for (int i = 0; i < kColumns / 2; ++i) d.set(i, 0x1p24f);
    fence_warpgroup();
    multiply_async(d, SwizzledMatrix(matrix(0)), SwizzledMatrix(matrix(1)));
    close_products();
    finish_products<0>();
    store(given, d);
  };
  EXPECT_EQ(run(script)[0], 0x1p24f + 4);  // 3 more, to even
  stream_.model.warpgroups_cut_off = true;
  EXPECT_EQ(run(script)[0], 0x1p24f);
}

TEST_F(WarpgroupDeathTest, ReadsACopyBeforeItsPhaseIsOver) {
  expect_fault(
      [](const Scripted& given) {
        copy_first_box(given);
        (void)matrix(0).as<Bf16>()[thread_index()];
      },
      "before the phase of the bulk copy to it is known|nobody has written");
}

TEST_F(WarpgroupDeathTest, MultipliesACopyBeforeItsPhaseIsOver) {
  expect_fault(
      [](const Scripted& given) {
        copy_first_box(given);
        sync_block();
        Accumulators<kColumns> d;
        clear(d);
        fence_warpgroup();
        multiply_async(d, SwizzledMatrix(matrix(0)), SwizzledMatrix(matrix(0)));
      },
      "before the phase of the bulk copy to it is known");
}

TEST_F(WarpgroupDeathTest, WaitsForThePhaseBefore) {
  expect_fault(
      [](const Scripted& given) {
        copy_first_box(given);
        wait_barrier(barrier(), 1);
        (void)matrix(0).as<Bf16>()[thread_index()];
      },
      "before the phase of the bulk copy to it is known|nobody has written");
}

TEST_F(WarpgroupDeathTest, MultipliesWhatThreadsWroteWithoutAFence) {
  expect_fault(
      [](const Scripted&) {
        fill(0, 1);
        sync_block();
        Accumulators<kColumns> d;
        clear(d);
        fence_warpgroup();
        multiply_async(d, SwizzledMatrix(matrix(0)), SwizzledMatrix(matrix(0)));
      },
      "the asynchronous proxy reads offset 0, which warp 0 lane 0 has written and not fenced");
}

TEST_F(WarpgroupDeathTest, FencesBehindTheBarrierOnly) {
  expect_fault(
      [](const Scripted&) {
        fill(0, 1);
        sync_block();
        fence_async();
        Accumulators<kColumns> d;
        clear(d);
        fence_warpgroup();
        multiply_async(d, SwizzledMatrix(matrix(0)), SwizzledMatrix(matrix(0)));
      },
      "not fenced before the barrier");
}

TEST_F(WarpgroupDeathTest, CopiesWithABarrierThatWasNotFenced) {
  expect_fault(
      [](const Scripted& given) {
        if (thread_index() == 0) make_barrier(barrier(), 1);
        sync_block();
        if (thread_index() != 0) return;
        arrive_expecting(barrier(), kMatrix);
        copy_box(matrix(0), given.map, barrier(), 0, 0);
      },
      "the asynchronous proxy reads offset 16384");
}

TEST_F(WarpgroupDeathTest, OverwritesWhatAnInstructionInFlightReads) {
  expect_fault(
      [](const Scripted& given) {
        copy_first_box(given);
        wait_barrier(barrier(), 0);
        Accumulators<kColumns> d;
        clear(d);
        fence_warpgroup();
        multiply_async(d, SwizzledMatrix(matrix(0)), SwizzledMatrix(matrix(0)));
        close_products();
        if (thread_index() == 0) copy_box(matrix(0), given.map, barrier(), 0, 0);
        finish_products<0>();
      },
      "writes offset 0, which an instruction of warp 0 in flight reads");
}

// The warp that copies has waited for its own instruction, and not for those of the others.
TEST_F(WarpgroupDeathTest, OverwritesWhatAnotherWarpsInstructionReads) {
  expect_fault(
      [](const Scripted& given) {
        copy_first_box(given);
        wait_barrier(barrier(), 0);
        Accumulators<kColumns> d;
        clear(d);
        fence_warpgroup();
        multiply_async(d, SwizzledMatrix(matrix(0)), SwizzledMatrix(matrix(0)));
        close_products();
        finish_products<0>();
        if (thread_index() == 0) copy_box(matrix(0), given.map, barrier(), 0, 0);
      },
      "writes offset 0, which an instruction of warp . in flight reads|read since the last");
}

TEST_F(WarpgroupDeathTest, ReadsSumsInFlight) {
  expect_fault(
      [](const Scripted& given) {
        copy_first_box(given);
        wait_barrier(barrier(), 0);
        Accumulators<kColumns> d;
        clear(d);
        fence_warpgroup();
        multiply_async(d, SwizzledMatrix(matrix(0)), SwizzledMatrix(matrix(0)));
        close_products();
        finish_products<1>();
        store(given, d);
      },
      "registers that a warpgroup instruction in flight has");
}

TEST_F(WarpgroupDeathTest, OverwritesAnOperandInFlight) {
  expect_fault(
      [](const Scripted& given) {
        copy_first_box(given);
        wait_barrier(barrier(), 0);
        Accumulators<kColumns> d;
        LeftOperand a;
        clear(d);
        for (int i = 0; i < 4; ++i) a.set(i, 0);
        fence_warpgroup();
        multiply_async(d, a, SwizzledMatrix(matrix(0)));
        close_products();
        a.set(0, 1);
      },
      "registers that a warpgroup instruction in flight has");
}

TEST_F(WarpgroupDeathTest, MultipliesRegistersWithoutAFence) {
  expect_fault(
      [](const Scripted& given) {
        copy_first_box(given);
        wait_barrier(barrier(), 0);
        Accumulators<kColumns> d;
        fence_warpgroup();
        clear(d);
        multiply_async(d, SwizzledMatrix(matrix(0)), SwizzledMatrix(matrix(0)));
      },
      "registers that were used since the last fence");
}

TEST_F(WarpgroupDeathTest, HasAMatrixAtAnOddPlace) {
  expect_fault([](const Scripted&) { (void)SwizzledMatrix(matrix(0) + 512); },
               "a matrix at no multiple of 1024 bytes");
}

TEST_F(WarpgroupDeathTest, LeavesTheRowsOfAMatrix) {
  expect_fault(
      [](const Scripted& given) {
        copy_first_box(given);
        wait_barrier(barrier(), 0);
        Accumulators<kColumns> d;
        clear(d);
        fence_warpgroup();
        multiply_async(d, SwizzledMatrix(matrix(0)), SwizzledMatrix(matrix(0)).sixteen(4));
      },
      "does not begin at a multiple of 1024 bytes");
}

TEST_F(WarpgroupDeathTest, HasDescriptorsThatDiffer) {
  expect_fault(
      [](const Scripted& given) {
        copy_first_box(given);
        wait_barrier(barrier(), 0);
        Accumulators<kColumns> d;
        clear(d);
        fence_warpgroup();
        multiply_async(d, SwizzledMatrix(matrix(0)), SwizzledMatrix(matrix(0)).sixteen(warp()));
      },
      "several descriptors");
}

TEST_F(WarpgroupDeathTest, CopiesABoxToAnOddPlace) {
  expect_fault(
      [](const Scripted& given) {
        make_barriers(1);
        if (thread_index() == 0) copy_box(matrix(0) + 128, given.map, barrier(), 0, 0);
      },
      "a box at no multiple of 1024 bytes");
}

TEST_F(WarpgroupDeathTest, CopiesFromAnOddPlace) {
  expect_fault(
      [](const Scripted& given) {
        make_barriers(1);
        if (thread_index() == 0) copy_bulk(matrix(0).as<Bf16>(), given.in + 1, 16, barrier());
      },
      "no multiple of 16");
}

TEST_F(WarpgroupDeathTest, CopiesABoxOfTooFewDimensions) {
  expect_fault(
      [](const Scripted& given) {
        make_barriers(1);
        if (thread_index() == 0) copy_box(matrix(0), given.map, barrier(), 0, 0, 0);
      },
      "a box of three dimensions of a tensor of two");
}

TEST_F(WarpgroupDeathTest, ExpectsMoreBytesThanCome) {
  expect_fault(
      [](const Scripted& given) {
        make_barriers(1);
        if (thread_index() == 0) {
          arrive_expecting(barrier(), 32);
          copy_bulk(matrix(0).as<Bf16>(), given.in, 16, barrier());
        }
        wait_barrier(barrier(), 0);
      },
      "waits for a phase of a barrier");
}

TEST_F(WarpgroupDeathTest, ArrivesTooOften) {
  expect_fault(
      [](const Scripted&) {
        make_barriers(2);
        if (thread_index() == 0) arrive_expecting(barrier(), 16);
        if (thread_index() == 0) arrive_expecting(barrier(), 16);
        if (thread_index() == 0) arrive_expecting(barrier(), 16);
      },
      "more arrivals than the barrier counts");
}

TEST_F(WarpgroupDeathTest, UsesABarrierThatNobodyMade) {
  expect_fault([](const Scripted&) { wait_barrier(barrier(), 1); }, "no barrier at this place");
}

TEST_F(WarpgroupDeathTest, EndsBeforeItsBulkCopies) {
  expect_fault([](const Scripted& given) { copy_first_box(given); },
               "before a bulk copy of it has been waited for");
}

TEST_F(WarpgroupDeathTest, EndsBeforeItsInstructions) {
  expect_fault(
      [](const Scripted& given) {
        copy_first_box(given);
        wait_barrier(barrier(), 0);
        static Accumulators<kColumns> all[kWarpgroup];
        Accumulators<kColumns>& d = all[thread_index()];
        clear(d);
        fence_warpgroup();
        multiply_async(d, SwizzledMatrix(matrix(0)), SwizzledMatrix(matrix(0)));
        close_products();
      },
      "before its warpgroup instructions have been waited for");
}

TEST_F(WarpgroupDeathTest, CopiesOnACardWithoutBulkCopies) {
  stream_.model.capability = 80;
  expect_fault([](const Scripted& given) { copy_first_box(given); },
               "this card has neither bulk copies nor warpgroups");
}

TEST_F(WarpgroupDeathTest, MultipliesOnACardWithoutWarpgroups) {
  stream_.model.capability = 80;
  expect_fault(
      [](const Scripted&) {
        fill(0, 1);
        fence_async();
        sync_block();
        Accumulators<kColumns> d;
        clear(d);
        fence_warpgroup();
        multiply_async(d, SwizzledMatrix(matrix(0)), SwizzledMatrix(matrix(0)));
      },
      "this card has neither bulk copies nor warpgroups");
}

}  // namespace
}  // namespace erne::cuda::inline emulated
