// What wrappers of a model leave in the names of its tensors when they are saved with them:
// "module.", "_orig_mod.", "base_model.model." and the like in front, "_fsdp_wrapped_module." and
// the like in between, or a leading "model." that is missing.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace erne::weights {

struct NameRule {
  std::string strip;  // in front of every tensor of the model
  std::string add;    // in front of what is left, where the name is one of the model's body

  // A sentence for a log: what the rule does.
  std::string describe() const;
};

// A name without the marks that wrappers of single layers leave, and with the router's bias where
// the checkpoints of Baidu have it (newer releases of transformers keep it inside the gate).
std::string without_wrappers(std::string_view name);

// The rule that gives the tensors their usual names. nullopt: they have them, or no one rule fits
// them all: the embedding must be found exactly once.
std::optional<NameRule> find_name_rule(const std::vector<std::string>& names);

// nullopt: the rule does not apply to this name.
std::optional<std::string> renamed(const NameRule& rule, std::string_view name);

}  // namespace erne::weights
