#include "apps/option_table.h"

#include "apps/quantization.h"
#include "backend/kv_view.h"
#include "server/parsers/tag_style.h"
#include "tensor/activation_types.h"

namespace erne::apps {
namespace {

using O = ServeOptions;

constexpr double kInfinite = std::numeric_limits<double>::infinity();

const FlagRow<O> kServerFlags[] = {
    {"--model", "Model", &O::model,
     "folder of the checkpoint (config.json, safetensors, tokenizer)"},
    {"--served-model-name", "Model", &O::served_model_name,
     "name clients must use (or \"default\"); unset: any name is accepted"},
    {"--tokenizer", "Model", &O::tokenizer, "folder of the tokenizer; default: the model's"},
    {"--chat-template", "Model", &O::chat_template,
     "Jinja file for chats; default: the checkpoint's own"},
    {"--reasoning-parser", "Model", &O::reasoning_parser, server::reasoning_parser_help()},
    {"--tool-call-parser", "Model", &O::tool_call_parser, server::tool_call_parser_help()},
    {"--load-choices", "Model", &O::load_choices,
     "dummy: random weights of the configured shapes, for tests and benchmarks",
     one_of("default default_v1 dummy")},
    {"--dtype", "Model", &O::dtype, "type of activations", one_of(kActivationChoices)},
    {"--quantization", "Model", &O::quantization, quantization_help()},
    {"--quantized-activations", "Model", &O::quantized_activations,
     "auto: what quantised weights are multiplied by is rounded to 8 bits as goes with their "
     "format, "
     "which is fast; none (weight-only) rounds nothing",
     one_of("auto none")},
    {"--weight-cache", "Model", &O::weight_cache,
     "folder to keep packed weights in, so that later starts read them and quantise nothing; "
     "delete it at any time"},
    {"--skip-tokenizer-init", "Model", &O::skip_tokenizer_init,
     "serve token ids only; needs no tokenizer"},
    {"--seed", "Model", &O::seed, "where seeds come from for requests that name none",
     from_to(0, 1e18)},

    {"--host", "Server", &O::host, "address to listen on"},
    {"--port", "Server", &O::port, "port to listen on; 0: any free one", from_to(0, 65535)},
    {"--metrics-port", "Server", &O::metrics_port,
     "also serve /metrics and the probes on this port; 0: on the main port only",
     from_to(0, 65535)},
    {"--api-key",
     "Server",
     &O::api_keys,
     "key clients must send as Bearer; repeatable",
     {.is_key = true},
     "FD_API_KEY"},
    {"--allowed-origins", "Server", &O::allowed_origins,
     "sites whose pages browsers let use the server (CORS): *, scheme://host[:port], or a JSON "
     "list "
     "of them; repeatable; default: * without --api-key, none with"},
    {"--allowed-methods", "Server", &O::allowed_methods,
     "methods such pages may use, or a JSON list; repeatable; default: *"},
    {"--allowed-headers", "Server", &O::allowed_headers,
     "headers such pages may send, or a JSON list; repeatable; default: *"},
    {"--allow-credentials", "Server", &O::allow_credentials,
     "such pages may send cookies and other credentials"},
    {"--web", "Server", &O::web, "a web page to chat at / (--no-web: none)"},
    {"--max-concurrency", "Server", &O::max_concurrency,
     "requests in the server at once; more get 429", from_to(1, 1000000)},
    {"--workers", "Server", &O::workers,
     "threads for short texts (JSON, templates, tokenizing); half as many more serve long ones",
     from_to(1, 256)},
    {"--max-logprobs", "Server", &O::max_logprobs,
     "most alternatives per token a client may ask for", from_to(0, 1000)},
    {"--max-request-memory", "Server", &O::max_request_memory,
     "bytes of memory that all requests together may take for what they send, hold and are "
     "answered, counted before it is taken; more get 503; 0: half of what is free after loading",
     from_to(0, 1e15)},
    {"--max-reply-bytes", "Server", &O::max_reply_bytes,
     "most bytes a reply in one piece, or what any reply says of its prompts, may come to by n, "
     "max_tokens and log-probabilities; more is a 400",
     from_to(1 << 16, 1e12)},
    {"--max-text-wait", "Server", &O::max_text_wait,
     "seconds a request may wait for one of --workers; then it gets 503", from_to(1, 86400)},
    {"--timeout-graceful-shutdown", "Server", &O::timeout_graceful_shutdown,
     "seconds to finish open requests after SIGTERM; 0: no limit", from_to(0, 86400)},

    {"--max-model-len", "Capacity", &O::max_model_len,
     "longest prompt plus answer in tokens; 0: 2048 or the model's limit, whichever is less",
     from_to(0, 1 << 24)},
    {"--max-num-seqs", "Capacity", &O::max_num_seqs, "sequences computed in one step",
     from_to(1, 4096)},
    {"--max-num-batched-tokens", "Capacity", &O::max_num_batched_tokens,
     "tokens computed in one step; 0: 512, or more where --max-num-seqs or unchunked prompts need "
     "it",
     from_to(0, 1 << 20)},
    {"--max-num-partial-prefills", "Capacity", &O::max_num_partial_prefills,
     "prompts that may be computed in part at once; 0: as many as --max-num-seqs",
     from_to(0, 4096)},
    {"--max-long-partial-prefills", "Capacity", &O::max_long_partial_prefills,
     "of these, long prompts; half of what a step can compute is kept for them, short prompts "
     "have the other half",
     from_to(1, 4096)},
    {"--long-prefill-token-threshold", "Capacity", &O::long_prefill_token_threshold,
     "a prompt is long while more tokens than this are left of it; 0: 4 % of --max-model-len",
     from_to(0, 1 << 24)},
    {"--max-decode-slowdown", "Capacity", &O::max_decode_slowdown,
     "how many times longer a step may take where prompts are computed beside sequences that "
     "decode: it takes as many prompt tokens as measured times allow (inf: as many as "
     "--max-num-batched-tokens; needs chunked prefill)",
     from_to(1, kInfinite)},
    {"--block-size", "Capacity", &O::block_size, "tokens per KV block", from_to(1, 4096)},
    {"--kv-cache-dtype", "Capacity", &O::kv_cache_dtype,
     "type of the KV cache; auto: as --dtype; int8: one scale per token and head",
     one_of(kKvDtypeChoices)},
    {"--num-gpu-blocks-override", "Capacity", &O::num_gpu_blocks_override,
     "number of KV blocks; 0: chosen from free memory", from_to(0, 1 << 30)},
    {"--swap-space", "Capacity", &O::swap_space,
     "GiB of host memory for prefixes that have no room among the KV blocks (the CPU tier of the "
     "prefix cache); 0: none",
     from_to(0, 1 << 20)},
    {"--gpu-memory-utilization", "Capacity", &O::gpu_memory_utilization,
     "share of a GPU's memory that may be taken, weights and all; on a CPU: of what is free after "
     "loading, by KV blocks and what steps work in",
     from_to(0.01, 1)},
    {"--kv-cache-ratio", "Capacity", &O::kv_cache_ratio,
     "accepted for compatibility: all blocks serve prompts and answers alike, as in FastDeploy's "
     "V1 "
     "scheduler",
     from_to(0, 1)},
    {"--enable-prefix-caching", "Capacity", &O::enable_prefix_caching,
     "share KV blocks between equal prompt starts (--no-enable-prefix-caching: off)"},
    {"--enable-chunked-prefill",
     "Capacity",
     &O::enable_chunked_prefill,
     "compute long prompts in pieces between other requests' tokens (--no-...: off)",
     {},
     "!FD_DISABLE_CHUNKED_PREFILL"},

    {"--device", "Device", &O::device, "auto: the first GPU where there is one, and else the CPU",
     one_of(kDeviceChoices)},
    {"--cpu-isa", "Device", &O::cpu_isa, "instruction set of the CPU kernels",
     one_of("auto reference avx2 avx512 avx512_bf16 amx")},
    {"--threads", "Device", &O::threads, "threads of the CPU kernels; 0: one per core",
     from_to(0, 1024)},
};

constexpr const char* kOneRank = "several ranks are not built yet: use 1";
constexpr const char* kNoSplit = "prefill/decode disaggregation is not built yet";
constexpr const char* kNoSpeculation = "speculative decoding is not built yet";
constexpr const char* kNoMedia = "images and video are not built yet";
constexpr const char* kNoGlobal = "schedulers across servers are not built yet";
constexpr const char* kNoReload = "changing weights while serving is not built yet";
constexpr const char* kNotYet = "not built yet";

constexpr ForeignFlag kNotBuilt[] = {
    {"--tensor-parallel-size", true, "1", kOneRank},
    {"--data-parallel-size", true, "1", kOneRank},
    {"--local-data-parallel-id", true, "0", kOneRank},
    {"--enable-expert-parallel", false, "", kOneRank},
    {"--ips", true, "", "several hosts are not built yet"},
    {"--speculative-config", true, "", kNoSpeculation},
    {"--splitwise-role", true, "mixed", kNoSplit},
    {"--innode-prefill-ports", true, "", kNoSplit},
    {"--cache-transfer-protocol", true, "", kNoSplit},
    {"--router", true, "", kNoSplit},
    {"--kvcache-storage-backend", true, "", "a prefix cache on disk is not built yet"},
    {"--tool-parser-plugin", true, "", "plugins are Python; erne has none"},
    {"--enable-mm", false, "", kNoMedia},
    {"--limit-mm-per-prompt", true, "", kNoMedia},
    {"--mm-processor-kwargs", true, "", kNoMedia},
    {"--enable-mm-output", false, "", kNoMedia},
    {"--max-encoder-cache", true, "-1 0", kNoMedia},
    {"--max-processor-cache", true, "-1 0", kNoMedia},
    {"--disable-chunked-mm-input", false, "", kNoMedia},
    {"--guided-decoding-disable-any-whitespace", true, "False false",
     "structured output always allows white space"},
    {"--logits-processors", true, "", "custom logits processors are not built yet"},
    {"--logprobs-mode", true, "raw_logprobs", "only raw_logprobs is built"},
    {"--enable-early-stop", false, "", kNotYet},
    {"--early-stop-config", true, "", kNotYet},
    {"--scheduler-name", true, "local", kNoGlobal},
    {"--dynamic-load-weight", false, "", kNoReload},
    {"--load-strategy", true, "normal", kNoReload},
    {"--rsync-config", true, "", kNoReload},
    {"--runner", true, "auto generate", "pooling models are not built yet"},
    {"--convert", true, "auto", "pooling models are not built yet"},
    {"--task", true, "generate", "only generation is built"},
    {"--override-pooler-config", true, "", "pooling models are not built yet"},
    {"--plas-attention-config", true, "", "sparse attention is not built yet"},
    {"--revision", true, "master main",
     "models are folders: download one and name it with --model"},
    {"--controller-port", true, "-1", kNotYet},
    {"--max-waiting-time", true, "-1", "a time limit for waiting requests is not built yet"},
};

constexpr const char* kOneProcess = "erne is one process and needs no such port";
constexpr const char* kGraphs = "on a GPU steps are CUDA graphs anyway, on a CPU there are none";
constexpr const char* kAlwaysOn = "always on";

constexpr ForeignFlag kNoMeaning[] = {
    {"--engine-worker-queue-port", true, "", kOneProcess},
    {"--cache-queue-port", true, "", kOneProcess},
    {"--pd-comm-port", true, "", kOneProcess},
    {"--rdma-comm-ports", true, "", kOneProcess},
    {"--use-cudagraph", false, "", kGraphs},
    {"--graph-optimization-config", true, "", kGraphs},
    {"--enable-custom-all-reduce", false, "", "there is one rank"},
    {"--disable-custom-all-reduce", false, "", "there is one rank"},
    {"--enable-logprob", false, "", kAlwaysOn},
    {"--guided-decoding-backend", true, "",
     "structured output is always on, matched by llguidance whatever is named here"},
    {"--enable-output-caching", false, "", kAlwaysOn},
    {"--use-warmup", true, "", "nothing needs warming up"},
    {"--prealloc-dec-block-slot-num-threshold", true, "", "blocks are taken one at a time"},
    {"--static-decode-blocks", true, "", "blocks are taken one at a time"},
    {"--lm-head-fp32", false, "", "logits are always float32"},
};

}  // namespace

std::span<const FlagRow<O>> flags() {
  return kServerFlags;
}
std::span<const ForeignFlag> flags_not_built() {
  return kNotBuilt;
}
std::span<const ForeignFlag> flags_with_no_meaning() {
  return kNoMeaning;
}

}  // namespace erne::apps
