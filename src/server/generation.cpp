#include "server/generation.h"

#include <fmt/format.h>

#include <new>

#include "base/hash.h"
#include "server/errors.h"
#include "server/request_cost.h"

namespace erne::server {
namespace {

ReplyHead reply_head(ServerContext& context, const GenerationRequest& request,
                     const std::string& exchange_id) {
  return {request.request_id.empty() ? exchange_id : request.request_id, unix_time_s(),
          context.model_name()};
}

// The engine ended a choice on its own account.
Status failure(const sched::TokenEvent& event) {
  if (event.finish == sched::FinishReason::kError) return event.error;
  return {Code::kOverloaded, "the server is shutting down", {}};
}

bool is_result(sched::FinishReason finish) {
  return finish == sched::FinishReason::kStop || finish == sched::FinishReason::kLength;
}

}  // namespace

void Generation::start(std::shared_ptr<ServerContext> context,
                       std::shared_ptr<http::Exchange> exchange, GenerationRequest request,
                       RequestWork work, const MakeReply& make_reply) {
  const size_t request_bytes = work.memory.bytes();
  if (context->tokenizer == nullptr) request.return_token_ids = true;  // there is no other output
  auto prepared = prepare(*context, context->draws.seed(), request, work);
  if (!prepared.ok()) return exchange->respond(error_response(prepared.status()));
  request.prompts = {};
  request.messages = {};
  request.tools = {};
  work.memory.give_back(request_bytes);
  const std::shared_ptr<Generation> generation(
      new Generation(std::move(context), std::move(exchange), std::move(request),
                     std::move(prepared).value(), std::move(work), make_reply));
  generation->exchange_->listen(generation);
  try {
    if (const auto submitted = generation->submit(); !submitted.ok())
      generation->fail(submitted.status());
  } catch (const std::bad_alloc&) {
    generation->fail(out_of_memory());
  }
  // The client may have left while its choices were being submitted.
  if (generation->gone_) generation->cancel_all();
  generation->post();
}

Generation::Generation(std::shared_ptr<ServerContext> context,
                       std::shared_ptr<http::Exchange> exchange, GenerationRequest request,
                       PreparedRequest prepared, RequestWork work, const MakeReply& make_reply)
    : context_(std::move(context)),
      exchange_(std::move(exchange)),
      request_(std::move(request)),
      work_(std::move(work)),
      prepared_(std::move(prepared)),
      reply_(make_reply(reply_head(*context_, request_, exchange_->request().id), request_,
                        TokenNames(context_->tokenizer, request_.return_tokens_as_token_ids))) {
  for (size_t i = 0; i < prepared_.choices.size(); ++i) {
    const PreparedPrompt& prompt = prepared_.prompts[i / request_.n];
    const bool first_of_prompt = i % request_.n == 0;
    tracks_.push_back(std::make_unique<Track>(request_, prompt, first_of_prompt, *context_));
    tracks_.back()->id = context_->engine.next_id();
    if (first_of_prompt) usage_.prompt_tokens += static_cast<int64_t>(prompt.ids.size());
  }
}

Result<void> Generation::submit() {
  // Among clients, and of one client's among its requests, the engine shares its rows.
  const uint64_t client = hash_bytes(work_.client.data(), work_.client.size());
  for (size_t i = 0; i < tracks_.size(); ++i) {
    sched::Request& request = prepared_.choices[i];
    request.id = tracks_[i]->id;
    request.party = tracks_.front()->id;
    request.client = client;
    const int num_prompt = static_cast<int>(request.prompt.size());
    const int max_new_tokens = request.stop.max_new_tokens;
    tracks_[i]->stream = TRY(context_->engine.submit(std::move(request), [weak = weak_from_this()] {
      if (const auto generation = weak.lock()) generation->wake();
    }));
    context_->metrics.request_submitted(num_prompt, max_new_tokens);
  }
  prepared_.choices = {};
  return {};
}

void Generation::on_gone() {
  gone_ = true;
  cancel_all();
  wake();
}

void Generation::cancel_all() {
  for (const auto& track : tracks_) context_->engine.cancel(track->id);
}

void Generation::wake() {
  if (num_wakes_.fetch_add(1) == 0) post();
}

void Generation::post() {
  context_->delivery.post({.client = {}, .run = [self = shared_from_this()] { self->run(); }});
}

void Generation::run() {
  int seen = num_wakes_;
  try {
    do take_events();
    while (!num_wakes_.compare_exchange_strong(seen, 0));
  } catch (const std::bad_alloc&) {  // although all was counted: somebody else took the memory
    if (!over_) fail(out_of_memory());
  }
  if (over_) context_->memory.trim();
}

// A prompt is scored once, with its first choice; the others' answers begin after its scores.
bool Generation::waits_for_prompt(size_t index) const {
  const auto n = static_cast<size_t>(request_.n);
  const bool scores_prompt = request_.prompt_scores || (request_.echo && request_.output_scores);
  return scores_prompt && !tracks_[index - index % n]->choice.has_prompt();
}

void Generation::share_prompt(size_t index, const sched::TokenEvent& event) {
  if (event.prompt_logprobs.empty()) return;
  for (size_t i = index + 1; i < index + static_cast<size_t>(request_.n); ++i)
    tracks_[i]->choice.push_prompt_scores(event.prompt_logprobs);
}

void Generation::take_events() {
  bool progress = true;
  while (progress && !over_) {
    progress = false;
    for (size_t i = 0; i < tracks_.size() && !over_; ++i) {
      if (!tracks_[i]->stream || (!tracks_[i]->first_of_prompt && waits_for_prompt(i))) continue;
      if (request_.stream && !exchange_->writable()) return;  // on_writable() wakes us
      const auto event = tracks_[i]->stream->next();
      if (!event) continue;
      progress = true;
      deliver(static_cast<int>(i), *event);
    }
  }
}

void Generation::deliver(int index, const engine::StreamEvent& stream_event) {
  Track& track = *tracks_[index];
  const sched::TokenEvent& event = stream_event.event;
  if (event.finish && !is_result(*event.finish)) {
    track.timer.on_event(context_->metrics, stream_event, 0);
    track.timer.on_finish(context_->metrics, /*success=*/false);
    track.stream.reset();
    return fail(failure(event));
  }
  const int before = track.choice.num_generated(), thought = track.choice.num_thought();
  if (track.first_of_prompt) share_prompt(static_cast<size_t>(index), event);
  track.choice.push(event);
  const int num_gained = track.choice.num_generated() - before;
  usage_.reasoning_tokens += track.choice.num_thought() - thought;
  track.timer.on_event(context_->metrics, stream_event, num_gained);
  count(track, event, num_gained);
  Delta delta = track.choice.take();
  request_.stream ? send_delta(index, delta) : track.whole.append(std::move(delta));
  if (!track.choice.finished()) return;
  // At a stop string, of which the engine knows nothing.
  if (!event.finish) context_->engine.cancel(track.id);
  track.timer.on_finish(context_->metrics, /*success=*/true);
  track.stream.reset();
  if (++num_ended_ == tracks_.size()) end();
}

void Generation::count(Track& track, const sched::TokenEvent& event, int num_gained) {
  usage_.completion_tokens += num_gained;
  if (!track.first_of_prompt || event.cached_tokens <= track.cached_tokens) return;
  usage_.cached_tokens += event.cached_tokens - track.cached_tokens;
  track.cached_tokens = event.cached_tokens;
}

void Generation::send_delta(int index, const Delta& delta) {
  if (delta.empty()) return;  // text held back so far
  send(reply_->gained(index, delta, tracks_[static_cast<size_t>(index)]->prompt, usage_));
}

void Generation::send(std::string events) {
  if (!std::exchange(streaming_, true))
    exchange_->begin_stream(
        {.content_type = "text/event-stream; charset=utf-8",
         .headers = {{"Cache-Control", "no-cache"}, {"X-Accel-Buffering", "no"}}});
  exchange_->write(std::move(events));
}

void Generation::end() {
  over_ = true;
  if (request_.stream) {
    send(reply_->ended(usage_));
    return exchange_->finish();
  }
  respond();
}

void Generation::respond() {
  size_t num_bytes = 0;
  for (const auto& track : tracks_) num_bytes += reply_bytes(request_, track->whole);
  if (const auto room = work_.memory.take(kReplyCopies * num_bytes, "the reply"); !room.ok())
    return exchange_->respond(error_response(room.status()));
  std::string choices;
  for (size_t i = 0; i < tracks_.size(); ++i) {
    Track& track = *tracks_[i];
    reply_->add_whole(static_cast<int>(i), track.whole, track.prompt, choices);
    track.whole = {};
  }
  exchange_->respond({.body = reply_->whole(std::move(choices), usage_)});
}

// Before the first chunk an error is an HTTP status; afterwards it is an event.
void Generation::fail(const Status& status) {
  over_ = true;
  cancel_all();
  if (!streaming_) return exchange_->respond(error_response(status));
  send(reply_->failed(status));
  exchange_->finish();
}

}  // namespace erne::server
