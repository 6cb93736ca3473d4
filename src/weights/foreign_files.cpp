#include "weights/foreign_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "weights/checkpoint_files.h"
#include "weights/safetensors_header.h"

namespace erne::weights {
namespace {

namespace fs = std::filesystem;

// A file by which another kind of checkpoint is known; the first that fits counts.
struct ForeignFile {
  std::string_view begin, end;  // of its name
  const char* what;             // "<folder> holds <name>: ..."
};

constexpr const char* kAdapter =
    "a LoRA adapter, which is no model of its own: merge it into its base model first (peft: "
    "merge_and_unload(), then save_pretrained; ERNIEKit: erniekit export with lora: true)";
constexpr const char* kPickle =
    "weights as a Python pickle, which erne does not read: load them with transformers and save "
    "them with save_pretrained(folder, safe_serialization=True)";
constexpr const char* kPaddle =
    "weights as Paddle's own files, which erne does not read: export them as safetensors (ERNIEKit "
    "and PaddleFormers: save_to_hf)";
constexpr const char* kGguf =
    "a GGUF file, which erne does not read: name the checkpoint that it was made of, in "
    "safetensors";
constexpr const char* kOtherFramework =
    "weights for another framework: load them with transformers and save them with "
    "save_pretrained(folder, safe_serialization=True)";
constexpr const char* kShardedState =
    "the state of a training on several devices: gather it into one checkpoint first (DeepSpeed: "
    "zero_to_fp32.py; FSDP: accelerate merge-weights)";

constexpr ForeignFile kForeign[] = {
    {"adapter_", "", kAdapter},
    {"peft_model", "", kAdapter},
    {"lora_", "", kAdapter},
    {"pytorch_model", ".bin", kPickle},
    {"consolidated", ".pth", kPickle},
    {"model", ".pt", kPickle},
    {"model", ".pth", kPickle},
    {"", ".pdparams", kPaddle},
    {"", ".gguf", kGguf},
    {"tf_model", "", kOtherFramework},
    {"flax_model", "", kOtherFramework},
    {"", ".distcp", kShardedState},
    {"global_step", "", kShardedState},
    {"pytorch_model_fsdp", "", kShardedState},
};

std::vector<std::string> names_in(const fs::path& folder) {
  constexpr size_t kMost = 4096;
  std::vector<std::string> names;
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, ignored))
    if (names.size() < kMost) names.push_back(entry.path().filename());
  std::ranges::sort(names);
  return names;
}

// What a download by one of the hubs' own clients leaves until it is done.
std::vector<fs::path> download_folders(const fs::path& folder) {
  return {folder, folder / "._____temp", folder / ".cache/huggingface/download",
          folder / "../../blobs"};
}

// The name of an unfinished file, if there is one; of ModelScope's temporary folder every file is.
std::string unfinished_download(const fs::path& folder) {
  for (const fs::path& place : download_folders(folder))
    for (const std::string& name : names_in(place))
      if (is_unfinished_download(name) || place.filename() == "._____temp")
        return (place / name).lexically_normal().string();
  return {};
}

// FastDeploy keeps what it has cut for several ranks in folders of theirs.
int count_ranks(const fs::path& folder) {
  int ranks = 0;
  while (is_present(folder / fmt::format("rank{}", ranks))) ++ranks;
  return ranks;
}

}  // namespace

bool is_unfinished_download(const std::string& name) {
  constexpr std::string_view kEnds[] = {".incomplete", ".part", ".aria2", ".crdownload",
                                        ".download"};
  return std::ranges::any_of(kEnds, [&](auto end) { return name.ends_with(end); });
}

Status describe_no_weights(const fs::path& folder) {
  if (const int ranks = count_ranks(folder); ranks > 0)
    return unsupported(
        fmt::format("{} is cut for {} tensor-parallel ranks (rank0 to rank{}): it can only be "
                    "served by that many, and erne has one so far; use a checkpoint that is whole",
                    folder.string(), ranks, ranks - 1),
        "model");
  const std::string none =
      fmt::format("{} holds neither {} nor {}", folder.string(), kSingleFile, kIndexFile);
  if (const std::string file = unfinished_download(folder); !file.empty())
    return {Code::kNotFound,
            fmt::format("{}, and {} is unfinished: let the download end, or start it again", none,
                        file)};
  const std::vector<std::string> names = names_in(folder);
  for (const ForeignFile& foreign : kForeign)
    for (const std::string& name : names)
      if (name.starts_with(foreign.begin) && name.ends_with(foreign.end))
        return {Code::kNotFound,
                fmt::format("{}, but {}: {}", none, quote_name(name), foreign.what)};
  return {Code::kNotFound, none};
}

std::string describe_missing_file(const fs::path& folder, const std::string& name) {
  std::string out = fmt::format("{}, which is missing from {}", quote_name(name), folder.string());
  std::error_code error;
  if (fs::is_symlink(folder / name, error))
    out += fmt::format(" (it is a link to {}, which is not there)",
                       fs::read_symlink(folder / name, error).string());
  if (const std::string file = unfinished_download(folder); !file.empty())
    out += fmt::format("; {} is unfinished", file);
  return out + "; download it again";
}

}  // namespace erne::weights
