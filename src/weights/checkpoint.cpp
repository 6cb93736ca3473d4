#include "weights/checkpoint.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <optional>

#include "weights/content_hash.h"
#include "weights/foreign_files.h"
#include "weights/tensor_names.h"

namespace erne::weights {
namespace {

// The file that an index places a tensor in; empty: it does not name it.
std::string_view home_of(const WeightMap& index, std::string_view tensor) {
  const auto named = index.find(tensor);
  return named == index.end() ? std::string_view() : named->second;
}

// Keys under other names; nullopt where two would meet.
template <class Value, class Rename>
std::optional<std::map<std::string, Value, std::less<>>> with_names(
    const std::map<std::string, Value, std::less<>>& from, Rename rename) {
  std::map<std::string, Value, std::less<>> out;
  for (const auto& [name, value] : from)
    if (!out.emplace(rename(name), value).second) return {};
  return out;
}

}  // namespace

Result<Checkpoint> Checkpoint::open(const std::filesystem::path& folder) {
  WeightFiles found = TRY(find_weight_files(folder));
  if (found.files.empty())
    return Status{Code::kNotFound,
                  fmt::format("tensor {}: expected in {}", quote_name(found.index.begin()->first),
                              describe_missing_file(folder, found.index.begin()->second)),
                  found.index.begin()->first};
  Checkpoint checkpoint(folder);
  checkpoint.warnings_ = std::move(found.warnings);
  for (const std::string& file : found.files) TRY(checkpoint.add_file(file, found.index));
  checkpoint.compare(found);
  checkpoint.apply_usual_names();
  return checkpoint;
}

Result<void> Checkpoint::add_file(const std::string& name, const WeightMap& index) {
  MappedFile file = TRY(MappedFile::open(folder_ / name));
  const Result<std::vector<StoredTensor>> header = parse_safetensors_header(file.bytes());
  if (!header)
    return invalid(fmt::format("{}: {}", (folder_ / name).string(), header.status().message),
                   header.status().param);
  for (const StoredTensor& tensor : *header) TRY(add_tensor(tensor, file, name, index));
  file_names_.push_back(name);
  files_.push_back(std::move(file));
  return {};
}

Result<void> Checkpoint::add_tensor(const StoredTensor& tensor, const MappedFile& file,
                                    const std::string& file_name, const WeightMap& index) {
  if (tensor.type == nullptr) {
    absent_.emplace(tensor.name,
                    Absent{fmt::format("in {}: {}", quote_name(file_name), tensor.unreadable),
                           /*is_stored=*/true});
    return {};
  }
  const CheckpointTensor found{tensor.type, tensor.shape, file.bytes().data() + tensor.begin,
                               file_name};
  const auto [at, is_new] = tensors_.emplace(tensor.name, found);
  if (is_new) return {};
  const std::string_view home = home_of(index, tensor.name);
  if (home != file_name && home != at->second.file)
    return invalid(
        fmt::format("tensor {}: found in {} and in {}, expected in one file, or an "
                    "index that names one",
                    quote_name(tensor.name), quote_name(at->second.file), quote_name(file_name)),
        tensor.name);
  if (home == file_name) at->second = found;
  return {};
}

void Checkpoint::compare(const WeightFiles& found) {
  std::vector<std::string> nowhere, elsewhere, unnamed;
  for (const auto& [name, file] : found.index) {
    const auto tensor = tensors_.find(name);
    if (tensor != tensors_.end()) {
      if (tensor->second.file != file) elsewhere.push_back(name);
      continue;
    }
    if (absent_.contains(name)) continue;
    nowhere.push_back(name);
    const bool is_missing = std::ranges::find(found.missing, file) != found.missing.end();
    absent_[name].why = is_missing ? "expected in " + describe_missing_file(folder_, file)
                                   : fmt::format("expected in {} by {}, which does not hold it",
                                                 quote_name(file), kIndexFile);
  }
  if (!found.index.empty())
    for (const auto& [name, tensor] : tensors_)
      if (!found.index.contains(name)) unnamed.push_back(name);
  const auto warn = [&](const std::vector<std::string>& names, const char* what) {
    if (!names.empty())
      warnings_.push_back(fmt::format("{}: {} tensors {}: {}", (folder_ / kIndexFile).string(),
                                      names.size(), what, quote_names(names)));
  };
  warn(found.missing.empty() ? nowhere : std::vector<std::string>(),
       "that it names are nowhere in the files");
  warn(elsewhere, "are in other files than it says");
  warn(unnamed, "of the files it names are not in it");
  for (const std::string& file : found.missing)
    warnings_.push_back(fmt::format("the index names {}", describe_missing_file(folder_, file)));
}

void Checkpoint::apply_usual_names() {
  const auto rename_all = [&](auto rename) {
    auto tensors = with_names(tensors_, rename);
    auto absent = with_names(absent_, rename);
    if (!tensors || !absent) return false;
    tensors_ = *std::move(tensors);
    absent_ = *std::move(absent);
    return true;
  };
  const bool is_wrapped = std::ranges::any_of(tensors_, [](const auto& tensor) {
    return tensor.first.find("_orig_mod.") != std::string::npos ||
           tensor.first.find("_wrapped_module.") != std::string::npos;
  });
  if (rename_all(without_wrappers) && is_wrapped)
    notes_.push_back(
        "the checkpoint's names hold marks of a training (\"_orig_mod.\" and the like), "
        "which are left out");
  std::vector<std::string> names;
  for (const auto& [name, tensor] : tensors_) names.push_back(name);
  const std::optional<NameRule> rule = find_name_rule(names);
  if (rule &&
      rename_all([&](const std::string& name) { return renamed(*rule, name).value_or(name); }))
    notes_.push_back("the checkpoint's " + rule->describe());
}

const CheckpointTensor* Checkpoint::find(std::string_view name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

std::string Checkpoint::identity(int64_t now) const {
  constexpr int64_t kSettled = 3;  // seconds; file systems' times are coarse
  std::string out;
  for (const std::string& name : file_names_) {
    struct stat info = {};
    if (::stat((folder_ / name).c_str(), &info) != 0) return {};
    if (info.st_ctim.tv_sec > now - kSettled) return {};
    out += fmt::format("{} {} {} {}.{:09} {}.{:09}\n", info.st_dev, info.st_ino, info.st_size,
                       info.st_mtim.tv_sec, info.st_mtim.tv_nsec, info.st_ctim.tv_sec,
                       info.st_ctim.tv_nsec);
  }
  return out;
}

uint64_t Checkpoint::fingerprint() const {
  ContentHash hash("checkpoint");
  for (const MappedFile& file : files_)
    for_each_step(file.bytes(), [&](auto step) {
      hash.add(step);
      drop_pages(step);
    });
  return hash.value();
}

size_t Checkpoint::file_bytes() const {
  size_t total = 0;
  for (const MappedFile& file : files_) total += file.bytes().size();
  return total;
}

std::vector<std::string> Checkpoint::unreadable() const {
  std::vector<std::string> names;
  for (const auto& [name, absent] : absent_)
    if (absent.is_stored) names.push_back(name);
  return names;
}

std::string Checkpoint::why_missing(std::string_view name) const {
  const auto absent = absent_.find(name);
  return absent == absent_.end() ? std::string() : absent->second.why;
}

}  // namespace erne::weights
