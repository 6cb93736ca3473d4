// The product's promise: the same request gives the same tokens, whatever else is in the batch,
// however the prompt is cut, whether its prefix was cached and where, whether it was preempted,
// whether drafts were verified, and whichever kernels and threads computed it. Every request is run
// alone on a fresh engine once; then again under many settings, all requests together. Each
// (request, setting) is one pair; there are 20,000 of them.
#include <gtest/gtest.h>

#include <iostream>
#include <sstream>

#include "emulated/emulated_kernels.h"
#include "tokens/small_server.h"

namespace erne::tests {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
// Sanitizers look at the code, the release build counts the tokens: so few requests that every type
// has its settings.
constexpr int kRequests = 60, kPairs = 1600;
#else
constexpr int kRequests = 200, kPairs = 20000;
#endif

constexpr Types kTypes[] = {{DType::kF32, DType::kF32},
                            {DType::kF32, DType::kI8},
                            {DType::kBf16, DType::kBf16},
                            {DType::kBf16, DType::kI8},
                            {DType::kF32, DType::kF32, "wint8"},
                            {DType::kBf16, DType::kI8, "wint4_g64"},
                            {DType::kBf16, DType::kBf16, "wint4"},
                            {DType::kBf16, DType::kBf16, "wint8", false},
                            {DType::kF32, DType::kF32, nullptr, false, true},
                            {DType::kBf16, DType::kI8, "wint4", true, true},
                            {DType::kBf16, DType::kFp8, "block_wise_fp8", true, true},
                            {DType::kBf16, DType::kBf16, "wint2", true, true},
                            {DType::kF32, DType::kI8, "w4afp8", true, true}};

// Plain bfloat16 on the tile unit, emulated: slowly.
constexpr Types kTileTypes[] = {{DType::kBf16, DType::kBf16},
                                {DType::kBf16, DType::kI8},
                                {DType::kBf16, DType::kBf16, nullptr, false, true}};
constexpr int kTileRequests = 40, kTileSettings = 8;

// Of each of all types.
int num_requests(Speed speed) {
  return speed == Speed::kFull ? kRequests : speed == Speed::kSlow ? 16 : 4;
}
int num_settings(Speed speed) {
  return speed == Speed::kEmulated ? 1 : 2;
}

std::vector<sched::Request> all_requests() {
  std::mt19937 random(20250);
  std::vector<sched::Request> out;
  for (int i = 0; i < kRequests; ++i) out.push_back(random_request(random));
  return out;
}

// `setting` says the types and the kernels.
std::vector<Tokens> alone(const std::vector<sched::Request>& requests, Setting setting) {
  std::vector<Tokens> out;
  setting.share_prefixes = false;  // every request finds an engine that remembers nothing
  SmallServer server(setting);
  for (const sched::Request& request : requests) out.push_back(server.serve({request}).front());
  return out;
}

bool has_unit_order(const Types& types) {
  return types.activation == DType::kBf16 && types.quantization == nullptr;
}

Setting random_setting(std::mt19937& random, const Types& types) {
  auto pick = [&](std::initializer_list<int> values) {
    return values.begin()[random() % values.size()];
  };
  Setting s;
  s.types = types;
  const auto draw = random() % 16;
  constexpr cpu::CpuIsa kFastIsas[] = {cpu::CpuIsa::kAvx2, cpu::CpuIsa::kAvx512,
                                       cpu::CpuIsa::kAvx512Bf16, cpu::CpuIsa::kAmx};
  const cpu::CpuIsa isa = draw == 0 ? cpu::CpuIsa::kReference : kFastIsas[draw % 4];
  s.isa = cpu::cpu_supports(isa) ? isa : cpu::best_cpu_isa();
  // Plain bfloat16 on the tile unit has bits of its own (cpu/arithmetic.h).
  if (s.isa == cpu::CpuIsa::kAmx && has_unit_order(types)) s.isa = cpu::CpuIsa::kAvx512Bf16;
  s.threads = pick({1, 1, 1, 2, 3});
  s.max_rows = pick({1, 2, 7, 16, 64});
  s.chunk_prompts = pick({0, 1, 1, 1});
  s.max_tokens = s.chunk_prompts ? s.max_rows + pick({0, 1, 2, 6, 63, 500}) : 1024;
  s.block_tokens = pick({16, 32, 64});
  s.num_blocks = s.least_blocks() * pick({1, 1, 1, 2, 10});
  s.host_blocks = s.num_blocks * pick({0, 0, 1, 5});
  s.share_prefixes = pick({0, 1, 1});
  s.max_drafts = pick({0, 0, 1, 4});
  s.times = pick({1, 2});
  return s;
}

// All that a setting may do to a request at once, for a device that is too slow for many settings.
Setting crowded_setting(const Types& types) {
  Setting s;
  s.types = types;
  s.max_rows = 4;
  s.max_tokens = s.max_rows + 5;
  s.num_blocks = s.least_blocks();
  s.host_blocks = 4 * s.num_blocks;
  s.max_drafts = 4;
  s.times = 2;
  return s;
}

std::string describe(const Setting& s) {
  std::ostringstream out;
  out << cpu::cpu_isa_name(s.isa) << ' ' << name_of(s.types) << " threads " << s.threads << " rows "
      << s.max_rows << " tokens " << s.max_tokens << " blocks " << s.num_blocks << " + "
      << s.host_blocks << " x " << s.block_tokens << " share " << s.share_prefixes << " chunk "
      << s.chunk_prompts << " drafts " << s.max_drafts;
  return out.str();
}

// Requests together under a setting, against each alone.
struct Comparison {
  explicit Comparison(const std::vector<sched::Request>& requests) : requests(requests) {}

  void add(const Setting& setting, const std::vector<Tokens>& expected) {
    SmallServer server(setting);
    for (int time = 0; time < setting.times; ++time) {
      const auto found = server.serve(requests);
      for (size_t i = 0; i < requests.size(); ++i) {
        ++pairs;
        different += found[i] != expected[i];
        if (found[i] != expected[i] && different < 5)
          ADD_FAILURE() << "request " << i << " time " << time << " under " << describe(setting);
      }
    }
    preemptions += server.stats().preemptions;
    cached += server.stats().cached_prompt_tokens;
    cached_on_host += server.stats().host_cached_prompt_tokens;
    accepted_drafts += server.stats().accepted_drafts;
    rejected_drafts += server.stats().drafted_tokens - server.stats().accepted_drafts;
  }

  void finish() const {
    EXPECT_EQ(different, 0);
    // The pairs are worth something only if the settings did what they are for.
    EXPECT_GT(preemptions, pairs / 50);
    EXPECT_GT(cached, pairs / 2);
    EXPECT_GT(cached_on_host, pairs / 2);
    EXPECT_GT(accepted_drafts, pairs / 2);
    EXPECT_GT(rejected_drafts, pairs / 2);
    std::cout << pairs << " pairs, " << different << " different; " << preemptions
              << " preemptions, " << cached << " prompt tokens from the cache, " << cached_on_host
              << " of them from the host, " << accepted_drafts << " drafts accepted, "
              << rejected_drafts << " rejected\n";
  }

  const std::vector<sched::Request>& requests;
  int pairs = 0, different = 0;
  int64_t preemptions = 0, cached = 0, cached_on_host = 0;
  int64_t accepted_drafts = 0, rejected_drafts = 0;
};

TEST(SameTokens, InEverySetting) {
  const auto requests = all_requests();
  std::vector<std::vector<Tokens>> expected_of;  // by type
  for (const Types& types : kTypes) expected_of.push_back(alone(requests, {.types = types}));
  std::mt19937 random(7);
  Comparison comparison(requests);
  for (size_t type = 0; comparison.pairs < kPairs; type = (type + 1) % std::size(kTypes))
    comparison.add(random_setting(random, kTypes[type]), expected_of[type]);
  comparison.finish();
}

class SameTokensElsewhere : public testing::TestWithParam<Device> {};

// Each device's tokens are those of a request alone on it, too; and where it is a CPU whose memory
// the host cannot see, they are the CPU's.
TEST_P(SameTokensElsewhere, InEverySetting) {
  const Device& device = GetParam();
  if (!device.available()) GTEST_SKIP() << "this machine has no " << device.name;
  auto requests = all_requests();
  requests.resize(num_requests(device.speed));
  std::mt19937 random(13);
  Comparison comparison(requests);
  const bool is_cpu = std::string_view(device.arithmetic) == "cpu";
  for (const Types& types : kTypes) {
    const auto expected = alone(requests, {.device = is_cpu ? nullptr : &device, .types = types});
    for (int i = 0; i < num_settings(device.speed); ++i) {
      Setting setting =
          device.speed == Speed::kEmulated ? crowded_setting(types) : random_setting(random, types);
      setting.device = &device;
      comparison.add(setting, expected);
    }
  }
  comparison.finish();
}

INSTANTIATE_TEST_SUITE_P(Devices, SameTokensElsewhere, testing::ValuesIn(other_devices()),
                         [](const auto& info) { return std::string(info.param.name); });

// The unit's own bits, too, are those of a request alone.
TEST(SameTokens, InEverySettingOfTheTileUnit) {
  auto requests = all_requests();
  requests.resize(kTileRequests);
  std::mt19937 random(11);
  Comparison comparison(requests);
  for (const Types& types : kTileTypes) {
    const auto expected =
        alone(requests, {.kernels = &cpu::amx_emulated_kernels(), .types = types});
    for (int i = 0; i < kTileSettings; ++i) {
      Setting setting = random_setting(random, types);
      setting.kernels = &cpu::amx_emulated_kernels();
      comparison.add(setting, expected);
    }
  }
  comparison.finish();
}

}  // namespace
}  // namespace erne::tests
