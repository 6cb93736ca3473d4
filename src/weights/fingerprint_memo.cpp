#include "weights/fingerprint_memo.h"

#include <fmt/format.h>

#include <charconv>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>

#include "base/hash.h"
#include "base/log.h"
#include "weights/new_file.h"

namespace erne::weights {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostBytes = 1 << 20;  // a line for each file of a checkpoint

uint64_t hash_of(const std::string& text) {
  return hash_bytes(text.data(), text.size());
}

// The identity, a line with the fingerprint, and one with a checksum of both.
std::string memo_text(const std::string& identity, uint64_t fingerprint) {
  const std::string text = fmt::format("{}holds {:016x}\n", identity, fingerprint);
  return fmt::format("{}check {:016x}\n", text, hash_of(text));
}

std::optional<uint64_t> read_memo(const fs::path& path, const std::string& identity) {
  constexpr std::string_view kBefore = "holds ";
  std::ifstream file(path, std::ios::binary);
  std::string text(kMostBytes, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  if (text.size() < identity.size() + kBefore.size() + 16) return {};
  const char* digits = text.data() + identity.size() + kBefore.size();
  uint64_t fingerprint = 0;
  if (std::from_chars(digits, digits + 16, fingerprint, 16).ptr != digits + 16) return {};
  if (text != memo_text(identity, fingerprint)) return {};
  return fingerprint;
}

Result<void> write_memo(const fs::path& path, const std::string& text) {
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  NewFile file = TRY(NewFile::create(path));
  TRY(file.write(text));
  return file.finish();
}

}  // namespace

uint64_t remembered_fingerprint(const WeightSource& source, const fs::path& folder) {
  const std::string identity = source.identity();
  const fs::path path = folder / fmt::format("{:016x}.holds", hash_of(identity));
  if (!identity.empty())
    if (const auto known = read_memo(path, identity)) return *known;
  const uint64_t fingerprint = source.fingerprint();
  // If it changed while it was read, it is not known which of the two was read.
  if (!identity.empty() && source.identity() == identity)
    if (const auto written = write_memo(path, memo_text(identity, fingerprint)); !written.ok())
      log_warning("weight cache: cannot write {}: {}", path.string(), written.status().message);
  return fingerprint;
}

}  // namespace erne::weights
