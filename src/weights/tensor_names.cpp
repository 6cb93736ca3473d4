#include "weights/tensor_names.h"

#include <fmt/format.h>

#include <algorithm>

namespace erne::weights {
namespace {

// Every checkpoint has this tensor once, under one of two names.
constexpr std::string_view kEmbedding = "embed_tokens.weight";
constexpr std::string_view kBodies[] = {"model.", "ernie."};
constexpr std::string_view kPartsOfBody[] = {"embed_tokens.", "layers.", "norm."};

constexpr std::string_view kLayerWrappers[] = {"_orig_mod.", "_fsdp_wrapped_module.",
                                               "_checkpoint_wrapped_module."};

bool is_of_body(std::string_view name) {
  return std::ranges::any_of(kPartsOfBody, [&](auto part) { return name.starts_with(part); });
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
}

}  // namespace

std::string NameRule::describe() const {
  if (add.empty()) return fmt::format("names begin with \"{}\", which is left out", strip);
  if (strip.empty()) return fmt::format("names lack \"{}\" in front, which is added", add);
  return fmt::format("names begin with \"{}\" in place of \"{}\"", strip, add);
}

std::string without_wrappers(std::string_view name) {
  std::string out(name);
  for (const std::string_view wrapper : kLayerWrappers) replace_all(out, wrapper, "");
  replace_all(out, ".mlp.gate.moe_statics.", ".mlp.moe_statics.");
  return out;
}

std::optional<NameRule> find_name_rule(const std::vector<std::string>& names) {
  const auto is_embedding = [](std::string_view name) {
    return name == kEmbedding ||
           (name.ends_with(kEmbedding) && name[name.size() - kEmbedding.size() - 1] == '.');
  };
  const auto found = std::ranges::find_if(names, is_embedding);
  if (found == names.end() || std::any_of(found + 1, names.end(), is_embedding)) return {};
  const std::string_view front =
      std::string_view(*found).substr(0, found->size() - kEmbedding.size());
  for (const std::string_view body : kBodies) {
    if (front == body) return {};
    if (front.ends_with("." + std::string(body)))
      return NameRule{std::string(front.substr(0, front.size() - body.size())), ""};
  }
  return NameRule{std::string(front), std::string(kBodies[0])};
}

std::optional<std::string> renamed(const NameRule& rule, std::string_view name) {
  if (!name.starts_with(rule.strip)) return {};
  const std::string_view rest = name.substr(rule.strip.size());
  if (rule.add.empty()) return std::string(rest);
  return is_of_body(rest) ? rule.add + std::string(rest) : std::string(rest);
}

}  // namespace erne::weights
