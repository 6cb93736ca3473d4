// A checkpoint made ready: back end, weights, tokenizer, chat template, executor. What `erne serve`
// and `erne chat` have in common.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "apps/capacity.h"
#include "apps/serve_options.h"
#include "backend/backend.h"
#include "base/status.h"
#include "exec/model_executor.h"
#include "model/generation_config.h"
#include "model/load_model.h"
#include "text/chat_prompt.h"
#include "text/tokenizer.h"

namespace erne::apps {

struct LoadedModel {
  std::filesystem::path folder;            // of the checkpoint
  std::filesystem::path tokenizer_folder;  // of the tokenizer and the chat template
  int threads = 0;                         // of the back end
  std::unique_ptr<Backend> backend;
  model::LoadPlan plan;  // what its weights were made of, and how they are computed with
  std::unique_ptr<model::Model> model;
  model::GenerationConfig generation;
  std::unique_ptr<text::Tokenizer> tokenizer;   // null with --skip-tokenizer-init
  std::optional<text::ChatPrompt> chat_prompt;  // none: the checkpoint has no template
  std::string chat_template;                    // its text
  WorkingBytes working;                         // what capacity was chosen by
  Capacity capacity;
  std::unique_ptr<exec::ModelExecutor> executor;

  int num_tokens() const;  // ids a request may use: those of the tokenizer, or of the embedding
};

// The folder that a flag's value stands for (weights/model_folder.h); says so where it is another.
Result<std::filesystem::path> find_folder(const std::string& named, const std::string& flag);

// Prints what it loads, how long that took, how much memory, and what was chosen.
Result<LoadedModel> load_model(const ServeOptions& options);

}  // namespace erne::apps
