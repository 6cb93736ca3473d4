#include "cpu/machine/isa.h"

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>

#include "base/check.h"

namespace erne::cpu {
namespace {

struct IsaRow {
  CpuIsa isa;
  const char* name;
  bool (*supported)();
};

bool has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vnni");
}

bool has_avx512_bf16() {
  return has_avx512() && __builtin_cpu_supports("avx512bf16");
}

bool has_amx() {
  constexpr unsigned kNeeded = 1u << 24 | 1u << 25 | 1u << 22;  // CPUID 7.0, edx: TILE, INT8, BF16
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (edx & kNeeded) == kNeeded;
}

// Linux gives tiles to a process that asks, and to its threads from then on.
bool may_use_tiles() {
  constexpr int kRequestFeature = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XTILEDATA
  static const bool granted = syscall(SYS_arch_prctl, kRequestFeature, kTileData) == 0;
  return granted;
}

// The best first. The compiler's checks cover CPUID and whether the system saves the registers.
constexpr IsaRow kRows[] = {
    {CpuIsa::kAmx, "amx", [] { return has_avx512_bf16() && has_amx() && may_use_tiles(); }},
    {CpuIsa::kAvx512Bf16, "avx512_bf16", has_avx512_bf16},
    {CpuIsa::kAvx512, "avx512", has_avx512},
    {CpuIsa::kAvx2, "avx2",
     [] {
       return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
              __builtin_cpu_supports("f16c");
     }},
    {CpuIsa::kReference, "reference", [] { return true; }},
};
static_assert(std::size(kRows) == std::size(kCpuIsas));

const IsaRow& row_of(CpuIsa isa) {
  const auto* row = std::ranges::find(kRows, isa, &IsaRow::isa);
  CHECK(row != std::end(kRows));
  return *row;
}

}  // namespace

const char* cpu_isa_name(CpuIsa isa) {
  return row_of(isa).name;
}

bool cpu_supports(CpuIsa isa) {
  return row_of(isa).supported();
}

CpuIsa best_cpu_isa() {
  return std::ranges::find_if(kRows, [](const IsaRow& row) { return row.supported(); })->isa;
}

}  // namespace erne::cpu
