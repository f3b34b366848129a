// What the memory declares, where it is, what moves, M; the passes are in sources_read.cu and
// sources_backward.cu.
#include "mixers/memories/sources_on_gpu.h"

#include "mixers/memories/source_matrix.h"
#include "ops/reduce.h"

#include <cmath>
#include <memory>

namespace plumb {
namespace {

[[noreturn]] void not_here() {
    throw InternalError("on the CPU mixes over depth have a memory of their own (sources.h)");
}

bool sees_all(const DepthSchedule& schedule) {
    for (int l = 1; l <= schedule.sublayers() + 1; ++l)
        for (int i = 0; i < l; ++i)
            if ((schedule.completes_block(i) || i == l - 1) && !schedule.sees(l, i)) return false;
    return true;
}

}  // namespace

// All but who sees what.
template <class T>
bool SourcesOnGpu<T>::fits(const SourceRule& from) {
    const MixerShape& shape = from.rule->shape();
    return from.keys && from.keys->weights == SourceKeys::Weights::softmax && from.keys->normed &&
           from.keys->heads == 1 && shape.channels <= most_channels(shape.channels) &&
           shape.sublayers() < kMostRows;
}
template <class T>
bool SourcesOnGpu<T>::carries(const SourceRule& from) {
    return fits(from) && sees_all(schedule_of(from));
}

template <class T>
SourcesOnGpu<T>::SourcesOnGpu(SourceRule from)
    : DepthMixer<T>(from.rule->shape()),
      gained_(from.keys && from.keys->gain),
      sources_(schedule_of(from, largest_groups(channels()))) {
    require(fits(from) && sees_all(schedule()), "a rule for another memory");
    rule_ = std::move(from.rule);
}

template <class T>
void SourcesOnGpu<T>::do_declare(Plan& plan, ParamStore<Real>& params) {
    const Index n = tokens(), c = channels(), rows = this->rows();
    for (int l = 1; l <= rows; ++l) {
        params_.emplace_back();
        for (const RuleParam& p : rule_->params(l))
            params_.back().push_back(params.declare(param_spec(p, l, this->layout())));
    }
    const Tensor<T> spare = plan.scratch<T>("mixer.spare", this->token_shape());
    sources_.declare(plan, "mixer.source", this->token_shape(), spare);
    const bool has_sums = schedule().block_size() > 1;
    if (kRounds && has_sums) carry_ = plan.scratch<Real>("mixer.carry", this->token_shape());
    const Shape by_read{{'L', rows}, {'N', n}};
    logits_ = plan.saved<Real>("mixer.logits", {{'K', blocks()}, {'L', rows}, {'N', n}});
    lse_ = plan.saved<Real>("mixer.lse", by_read);
    rstd_ = plan.saved<Real>("mixer.rstd", {{'S', blocks() + (has_sums ? rows : 0)}, {'N', n}});
    u_ = plan.saved<Real>("mixer.u", {{'L', rows}, {'C', c}});
    delta_ = plan.scratch<Real>("mixer.delta", by_read);
    t_ = plan.scratch<Real>("mixer.t", {{'K', largest_groups(c).pulls}, {'L', rows}, {'N', n}});
    du_ = plan.scratch<Real>("mixer.du", {{'L', rows}, {'C', c}});
    du_part_ = plan.scratch<Real>(
        "mixer.du_part",
        {{'P', std::max<Index>(gpu::partial_rows(n), du_slices(n) * rows)}, {'C', c}});
}

template <class T>
void SourcesOnGpu<T>::do_begin(const Context& ctx) {
    dispatch(ctx, "attnres", [&](auto device) {
        if constexpr (std::is_same_v<decltype(device), Cpu>)
            not_here();
        else
            begin(device, ctx);
    });
}

template <class T>
void SourcesOnGpu<T>::do_read(const Context& ctx, int l, const PreNorm<T>& norm) {
    dispatch(ctx, "attnres", [&](auto device) {
        if constexpr (std::is_same_v<decltype(device), Cpu>)
            not_here();
        else
            read(device, ctx, l, norm);
    });
}

template <class T>
void SourcesOnGpu<T>::do_read_backward(const Context& ctx, int l, const PreNorm<T>& norm) {
    dispatch(ctx, "attnres", [&](auto device) {
        if constexpr (std::is_same_v<decltype(device), Cpu>)
            not_here();
        else
            read_backward(device, ctx, l, norm);
    });
}

template <class T>
View<const T> SourcesOnGpu<T>::do_begin_backward(const Context& ctx) {
    dispatch(ctx, "attnres", [&](auto device) {
        if constexpr (std::is_same_v<decltype(device), Cpu>)
            not_here();
        else
            queries_backward(device, ctx);
    });
    return ctx(sources_.tensor(sources_.place(0)));
}

template <class T>
void SourcesOnGpu<T>::stream(const Context& ctx, int l, View<Real> out) const {
    widen<T>(ctx, ctx(sources_.tensor(l)), out);
}

// Rows of sources, mixes, gradients and D; of Real the block's running gradient, and a token's
// numbers. Forward: logits, the newest source's rstd, lse. Backward: logits, rstd, lse, delta; t,
// and the parts of du, written and read.
template <class T>
MovedNumbers SourcesOnGpu<T>::moves(DepthCall call, int l) const {
    const Index c = channels();
    if (call == DepthCall::read) {
        const DepthSchedule::Read& read = schedule().read(l);
        const Index queries = sources_.queries(l), old = std::ssize(read.old),
                    fresh = std::ssize(read.fresh);
        MovedNumbers m{sums(l - 1) ? 3 * c : 0, 1};
        if (l == read.first) {
            m.stored += (old + queries - 1 + (sources_.merges(l) ? 1 : 0)) * c;
            m.real += (old + 1) * queries;
        }
        if (sources_.merges(l)) m.stored += (1 + fresh) * c, m.real += fresh + 2;
        return m;
    }
    if (call != DepthCall::read_backward) return {};
    const DepthSchedule::Pull& pull = schedule().pull(l - 1);
    const Index sources = std::ssize(pull.sources), readers = std::ssize(pull.readers);
    const bool carried = carry_ && !completes(l - 1);
    MovedNumbers m{(readers + (pull.adds && !carried ? 3 : 2) * sources) * c,
                   ((carry_ ? 1 : 0) + (carried ? 1 : 0)) * c + (sources + 2) * readers + sources};
    const Index parts = spreads(l) ? gpu::partial_rows(tokens()) : du_slices(tokens());
    m.real += 2 * parts * readers * c / tokens();
    if (!spreads(l)) m.stored += sources * c, m.real += 2 * sources * readers;
    return m;
}

// From the weights that the passes use.
template <class T>
auto SourcesOnGpu<T>::do_matrices(const Context& ctx) const -> typename DepthMixer<T>::OfToken {
    struct Numbers {
        std::vector<Real> logits, lse;
    };
    const auto all =
        std::make_shared<const Numbers>(Numbers{fetch<Real>(ctx(logits_)), fetch<Real>(ctx(lse_))});
    return [this, all](Index n, View<Real> m, int) {
        source_matrix(*rule_, schedule(), m, [&](int l, int i, int) {
            return std::exp(all->logits[at(pair(i, l) + n)] - all->lse[at((l - 1) * tokens() + n)]);
        });
    };
}

template class SourcesOnGpu<float>;
template class SourcesOnGpu<double>;
template class SourcesOnGpu<Bf16>;

}  // namespace plumb
