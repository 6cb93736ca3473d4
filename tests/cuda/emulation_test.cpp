// The emulated device: that it computes what a GPU would, and that it stops at what a GPU would not
// forgive. Each fault here is one that a kernel of ours could have.
#define ERNE_CUDA_EMULATED
#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "cuda/language/device_code.h"
#include "cuda/language/matrix.h"
#include "cuda/runtime/launch.h"

namespace erne::cuda::inline emulated {
namespace {

constexpr int kBlock = 128;

// A kernel whose threads do what a function says.
struct Scripted {
  static constexpr int kThreads = kBlock;
  void (*script)(Shared<float> shared, Global<float> global);
  Global<float> memory;
  size_t bytes = kBlock * sizeof(float);

  size_t shared_bytes() const { return bytes; }
  void run() const { script(shared_memory().as<float>(), memory); }
};

class Device : public testing::Test {
 protected:
  using Script = void (*)(Shared<float>, Global<float>);

  ~Device() override { emulation::free_global(memory_); }
  std::vector<float> run(Script script, int64_t blocks = 1) {
    launch(stream_, {blocks}, Scripted{script, Global<float>(memory_)});
    const auto* values = static_cast<const float*>(memory_);
    return {values, values + kBlock};
  }
  void expect_fault(Script script, const char* message) { EXPECT_DEATH(run(script), message); }

  Stream stream_;
  void* memory_ = emulation::allocate_global(kBlock * sizeof(float));
};

using DeviceDeathTest = Device;

TEST_F(Device, ThreadsKnowWhereTheyAre) {
  const auto values = run([](Shared<float>, Global<float> global) {
    global.set(thread_index(), static_cast<float>(warp() * 100 + lane()));
  });
  EXPECT_EQ(values[0], 0);
  EXPECT_EQ(values[33], 101);
  EXPECT_EQ(values[127], 331);
}

TEST_F(Device, ABarrierMakesOneThreadsWritingAnothersReading) {
  const auto values = run([](Shared<float> shared, Global<float> global) {
    shared.set(thread_index(), static_cast<float>(thread_index()));
    sync_block();
    global.set(thread_index(), shared[kBlock - 1 - thread_index()]);
  });
  for (int i = 0; i < kBlock; ++i) EXPECT_EQ(values[i], kBlock - 1 - i);
}

TEST_F(Device, LanesExchangeNumbers) {
  const auto values = run([](Shared<float>, Global<float> global) {
    const float sum = warp_sum(static_cast<float>(thread_index()));
    global.set(thread_index(), sum + shuffle(static_cast<float>(lane()), 3) / 10);
  });
  for (int i = 0; i < kBlock; ++i)
    EXPECT_EQ(values[i], static_cast<float>(i / 32 * 1024 + 496) + 0.3f);
}

TEST_F(Device, LanesSeeTheOnesBelowAndThoseLikeThem) {
  const auto values = run([](Shared<float>, Global<float> global) {
    const int below = shuffle_up(lane(), 3);
    const uint32_t same = same_lanes(lane() % 5);
    global.set(thread_index(), static_cast<float>(below * 100 + count_bits(same >> lane())));
  });
  EXPECT_EQ(values[2], 2 * 100 + 6);    // 2, 7, ..., 27
  EXPECT_EQ(values[32 + 12], 900 + 4);  // 12, 17, 22, 27
}

TEST_F(Device, ThreadsAddToOneNumber) {
  const auto values = run([](Shared<float> shared, Global<float> global) {
    const Shared<uint64_t> sum = shared.as<uint64_t>();
    if (thread_index() == 5) sum.set(0, 7);
    sync_block();
    sum.add(0, static_cast<uint64_t>(thread_index()));
    global.as<uint64_t>().add(4, 2);
    sync_block();
    if (thread_index() == 5) global.set(0, static_cast<float>(sum[0]));
  });
  EXPECT_EQ(values[0], 7 + kBlock * (kBlock - 1) / 2);
  uint64_t added;
  std::memcpy(&added, &values[8], sizeof(added));
  EXPECT_EQ(added, 2u * kBlock);
}

TEST_F(Device, CopiesArriveWhenTheyAreWaitedFor) {
  for (int i = 0; i < kBlock; ++i) static_cast<float*>(memory_)[i] = static_cast<float>(i);
  const auto values = run([](Shared<float> shared, Global<float> global) {
    if (thread_index() < kBlock / 4)
      copy_async(shared + thread_index() * 4, global + thread_index() * 4,
                 thread_index() == 31 ? 8 : 16);
    close_copies();
    finish_copies<0>();
    sync_block();
    global.set(thread_index(), 2 * shared[thread_index()]);
  });
  EXPECT_EQ(values[5], 10);
  EXPECT_EQ(values[125], 250);
  EXPECT_EQ(values[126], 0);  // beyond what counts
}

TEST_F(Device, EveryBlockRuns) {
  const auto values = run(
      [](Shared<float>, Global<float> global) {
        if (thread_index() == 0) global.set(block_x(), static_cast<float>(block_x() + 1));
      },
      kBlock);
  EXPECT_EQ(values[kBlock - 1], kBlock);
}

// Numbers of a and b depend on where they are, so that every place of d has a sum of its own.
TEST_F(Device, MatrixUnitsMultiply) {
  const auto values = run([](Shared<float>, Global<float> global) {
    if (warp() > 0) return;
    const int g = lane() / 4, t = lane() % 4;
    const auto pair = [](float low, float high) {
      return uint32_t{to_bf16(low).bits} | uint32_t{to_bf16(high).bits} << 16;
    };
    const auto left = [](int row, int k) { return static_cast<float>(row + 16 * (k % 3)); };
    const auto right = [](int k, int column) { return static_cast<float>(column - (k % 5)); };
    const uint32_t a[4] = {pair(left(g, 2 * t), left(g, 2 * t + 1)),
                           pair(left(g + 8, 2 * t), left(g + 8, 2 * t + 1)),
                           pair(left(g, 2 * t + 8), left(g, 2 * t + 9)),
                           pair(left(g + 8, 2 * t + 8), left(g + 8, 2 * t + 9))};
    const uint32_t b[2] = {pair(right(2 * t, g), right(2 * t + 1, g)),
                           pair(right(2 * t + 8, g), right(2 * t + 9, g))};
    float d[4] = {0.5f, 0.5f, 0.5f, 0.5f};
    mma(d, a, b);
    for (int i = 0; i < 4; ++i) global.set((g + i / 2 * 8) * 8 + 2 * t + i % 2, d[i]);
  });
  for (int row = 0; row < 16; ++row)
    for (int column = 0; column < 8; ++column) {
      float sum = 0.5f;
      for (int k = 0; k < 16; ++k)
        sum += static_cast<float>((row + 16 * (k % 3)) * (column - k % 5));
      EXPECT_EQ(values[row * 8 + column], sum) << row << ", " << column;
    }
}

TEST_F(Device, MatrixUnitsMultiplyIntegers) {
  const auto values = run([](Shared<float>, Global<float> global) {
    if (warp() > 0) return;
    const int g = lane() / 4, t = lane() % 4;
    const auto four = [](const auto& at) {
      uint32_t word = 0;
      for (int i = 0; i < 4; ++i)
        word |= uint32_t{static_cast<uint8_t>(static_cast<int8_t>(at(i)))} << 8 * i;
      return word;
    };
    uint32_t a[4], b[2];
    for (int half = 0; half < 2; ++half) {
      const int k = 4 * t + 16 * half;
      a[2 * half] = four([&](int i) { return g - k - i; });
      a[2 * half + 1] = four([&](int i) { return g + 8 - k - i; });
      b[half] = four([&](int i) { return 3 * (k + i) - 50 + g; });
    }
    int32_t d[4] = {7, 7, 7, 7};
    mma(d, a, b);
    for (int i = 0; i < 4; ++i)
      global.set((g + i / 2 * 8) * 8 + 2 * t + i % 2, static_cast<float>(d[i]));
  });
  for (int row = 0; row < 16; ++row)
    for (int column = 0; column < 8; ++column) {
      int sum = 7;
      for (int k = 0; k < 32; ++k) sum += (row - k) * (3 * k - 50 + column);
      EXPECT_EQ(values[row * 8 + column], static_cast<float>(sum)) << row << ", " << column;
    }
}

TEST_F(Device, PairsAreTwoNumbers) {
  const auto values = run([](Shared<float>, Global<float> global) {
    if (thread_index() > 0) return;
    const auto first = [](uint32_t pair) { return to_float(Bf16{static_cast<uint16_t>(pair)}); };
    const auto second = [](uint32_t pair) { return bits_as<float>(pair & 0xFFFF0000); };
    const uint32_t factors = rounded_pair(1.0f, 3.0f), sums = rounded_pair(0.5f, -2.0f);
    const uint32_t pair = fma_pair(rounded_pair(7, 5), factors, sums);
    global.set(0, first(pair));
    global.set(1, second(pair));
    // A denormal counts: 3 * 2^-133.
    global.set(2, first(fma_pair(3, rounded_pair(0x1p120f, 0), 0x80008000)));
    global.set(3, first(rounded_pair(1.004f, 0)));
  });
  EXPECT_EQ(values[0], 7.5f);
  EXPECT_EQ(values[1], 13);
  EXPECT_EQ(values[2], 3 * 0x1p-13f);
  EXPECT_EQ(values[3], 1.0078125f);
}

TEST_F(Device, FloorsBecomeIntegers) {
  const auto values = run([](Shared<float>, Global<float> global) {
    if (thread_index() > 0) return;
    const float numbers[] = {2.75f, -0.25f, 1e20f, bits_as<float>(0x7FC00000)};
    for (int i = 0; i < 4; ++i) global.set(i, static_cast<float>(floor_to_int(numbers[i])));
  });
  EXPECT_EQ(values[0], 2);
  EXPECT_EQ(values[1], -1);
  EXPECT_EQ(values[2], 0x1p31f);
  EXPECT_EQ(values[3], 0);
}

// A kernel that knows when it runs how many threads it needs.
struct Sized {
  static constexpr int kThreads = kBlock;
  int count;
  Global<float> memory;

  int threads() const { return count; }
  size_t shared_bytes() const { return 0; }
  void run() const { memory.set(thread_index(), 1); }
};

TEST_F(Device, AKernelMayHaveFewerThreads) {
  launch(stream_, {1}, Sized{64, Global<float>(memory_)});
  EXPECT_EQ(static_cast<float*>(memory_)[63], 1);
  EXPECT_EQ(static_cast<float*>(memory_)[64], 0);
}

// A kernel that may begin while launches before it still run.
struct Early {
  static constexpr int kThreads = kBlock;
  static constexpr bool kStartsEarly = true;
  void (*script)(Global<float> memory);
  Global<float> memory;

  size_t shared_bytes() const { return 0; }
  void run() const { script(memory); }
};

class EarlyLaunch : public Device {
 protected:
  // Behind a launch that writes, and, where that has ended before the next begins, `is_ordered`.
  void run_early(void (*script)(Global<float>), bool is_ordered = false) {
    run([](Shared<float>, Global<float> global) { global.set(thread_index(), 1); });
    if (is_ordered) order_launches(stream_);
    launch(stream_, {1}, Early{script, Global<float>(memory_)});
  }
};
using EarlyLaunchDeathTest = EarlyLaunch;

TEST_F(EarlyLaunch, UsesAllMemoryOnceItHasWaited) {
  run_early([](Global<float> memory) {
    wait_for_earlier();
    memory.set(thread_index(), memory[thread_index()] + 1);
  });
  EXPECT_EQ(static_cast<float*>(memory_)[5], 2);
}

TEST_F(EarlyLaunch, ReadsBeforeThatWhatNoLaunchUnderWayHasWritten) {
  run_early(
      [](Global<float> memory) {
        const float weight = memory[thread_index()];
        wait_for_earlier();
        sync_block();
        memory.set(thread_index(), 3 * weight);
      },
      true);
  EXPECT_EQ(static_cast<float*>(memory_)[5], 3);
}

TEST_F(EarlyLaunchDeathTest, ReadsWhatMayNotBeWrittenYet) {
  EXPECT_DEATH(run_early([](Global<float> memory) {
                 (void)memory[thread_index()];
                 wait_for_earlier();
               }),
               "an earlier launch may not have written");
}

TEST_F(EarlyLaunchDeathTest, WritesWhatMayStillBeRead) {
  EXPECT_DEATH(run_early(
                   [](Global<float> memory) {
                     memory.set(thread_index(), 0);
                     wait_for_earlier();
                   },
                   true),
               "an earlier launch may still read");
}

TEST_F(EarlyLaunchDeathTest, NeverWaits) {
  EXPECT_DEATH(run_early([](Global<float>) {
                 if (thread_index() < 64) wait_for_earlier();
               }),
               "ends before it has waited");
}

TEST_F(DeviceDeathTest, MakesAPairThatIsRounded) {
  expect_fault(
      [](Shared<float>, Global<float>) {
        fma_pair(rounded_pair(255, 1), rounded_pair(1, 1), rounded_pair(2, 0));
      },
      "no bfloat16 number");
}

TEST_F(DeviceDeathTest, ReadsOnceFromAnOddPlace) {
  expect_fault([](Shared<float>, Global<float> global) { read_once((global + 1).as<Words4>()); },
               "no multiple of 16");
}

TEST_F(DeviceDeathTest, ReadsWhatNobodyWrote) {
  expect_fault([](Shared<float> shared, Global<float>) { (void)shared[0]; }, "nobody has written");
}

TEST_F(DeviceDeathTest, ReadsWithoutABarrier) {
  expect_fault(
      [](Shared<float> shared, Global<float>) {
        shared.set(thread_index(), 1);
        (void)shared[(thread_index() + 32) % kBlock];
      },
      "written since the last barrier|nobody has written");
}

TEST_F(DeviceDeathTest, ReadsAnotherLaneWithoutABarrierOfTheWarp) {
  expect_fault(
      [](Shared<float> shared, Global<float>) {
        shared.set(thread_index(), 1);
        shuffle_xor(1, 1);  // brings lanes together, but orders no memory
        (void)shared[thread_index() ^ 1];
      },
      "written since the last barrier");
}

TEST_F(DeviceDeathTest, OverwritesWhatIsStillRead) {
  expect_fault(
      [](Shared<float> shared, Global<float>) {
        shared.set(thread_index(), 1);
        sync_block();
        (void)shared[(thread_index() + 32) % kBlock];
        shared.set(thread_index(), 2);
      },
      "read since the last barrier");
}

TEST_F(DeviceDeathTest, ReadsWhatOthersStillAddTo) {
  expect_fault(
      [](Shared<float> shared, Global<float>) {
        const Shared<uint64_t> sums = shared.as<uint64_t>();
        if (thread_index() < 4) sums.set(thread_index(), 0);
        sync_block();
        sums.add(warp(), 1);
        sync_warp();
        (void)sums[warp()];
      },
      "reads offset .* which threads have added to");
}

TEST_F(DeviceDeathTest, AddsToWhatIsStillRead) {
  expect_fault(
      [](Shared<float> shared, Global<float>) {
        const Shared<uint64_t> sum = shared.as<uint64_t>();
        if (thread_index() == 0) sum.set(0, 0);
        sync_block();
        if (thread_index() == 40) (void)sum[0];
        sum.add(0, 1);
      },
      "has read since the last barrier|threads have added to");
}

TEST_F(DeviceDeathTest, AddsToWhatNobodyWrote) {
  expect_fault([](Shared<float> shared, Global<float>) { shared.as<uint64_t>().add(0, 1); },
               "adds to offset 0, which nobody has written");
}

TEST_F(DeviceDeathTest, LeavesSharedMemory) {
  expect_fault([](Shared<float> shared, Global<float>) { shared.set(kBlock, 1); },
               "4 bytes at offset 512 of 512");
}

TEST_F(DeviceDeathTest, LeavesGlobalMemory) {
  expect_fault([](Shared<float>, Global<float> global) { (void)global[kBlock]; },
               "4 bytes at offset 512 of an allocation of 512");
}

TEST_F(DeviceDeathTest, ReadsTheHostsMemory) {
  expect_fault(
      [](Shared<float>, Global<float>) {
        alignas(16) static const float host[4] = {};
        (void)Global<float>(host)[0];
      },
      "not the device's|of an allocation of");
}

TEST_F(DeviceDeathTest, ReadsSixteenBytesFromAnOddPlace) {
  expect_fault([](Shared<float>, Global<float> global) { (void)(global + 1).as<Words4>()[0]; },
               "no multiple of 16");
}

TEST_F(DeviceDeathTest, ReadsACopyThatWasNotWaitedFor) {
  expect_fault(
      [](Shared<float> shared, Global<float> global) {
        if (thread_index() > 0) return;
        copy_async(shared, global);
        close_copies();
        finish_copies<1>();
        (void)shared[0];
      },
      "before the copy to it was waited for");
}

TEST_F(DeviceDeathTest, EndsBeforeItsCopies) {
  expect_fault(
      [](Shared<float> shared, Global<float> global) {
        if (thread_index() == 0) copy_async(shared, global);
      },
      "before its copies have been waited for");
}

TEST_F(DeviceDeathTest, WaitsForThreadsThatNeverCome) {
  expect_fault(
      [](Shared<float>, Global<float>) {
        if (thread_index() < 64) sync_block();
      },
      "threads of it have ended|no thread can go on");
}

TEST_F(DeviceDeathTest, LanesGoDifferentWays) {
  expect_fault(
      [](Shared<float>, Global<float>) {
        if (lane() < 16)
          sync_warp();
        else
          shuffle_xor(1, 1);
      },
      "where other lanes of the warp are at");
}

}  // namespace
}  // namespace erne::cuda::inline emulated
