#include "mixers/memories/streams_on_gpu.h"

#include "core/gpu.h"
#include "mixers/derive_matrix.h"
#include "ops/reduce.h"

#include <algorithm>

namespace plumb {
namespace {

constexpr Index kWarp = 32;
// A block's eight warps hold a token: in a run of eight channels a thread, or in two.
constexpr Index kMostChannels = 8 * 32 * 8, kMostWhole = 2 * kMostChannels;

template <class Device>
void on_gpu_alone() {
    if constexpr (std::is_same_v<Device, Cpu>)
        throw InternalError("on the CPU streams are Streams'");
}

}  // namespace

template <class T>
StreamsOnGpu<T>::StreamsOnGpu(RulePtr rule)
    : DepthMixer<T>(rule->shape()), rule_(std::move(rule)), streams_(rule_->rows(1)) {
    require(carries(*rule_), "streams that a GPU's passes carry");
    for (int l = 1; l <= this->sublayers() + 1; ++l) sites_.push_back({{*rule_, l}, {}, {}, {}});
}

template <class T>
bool StreamsOnGpu<T>::carries(const Rule& rule) {
    const int streams = rule.rows(1);
    const Index c = rule.shape().channels;
    const bool wide = c % 8 == 0 && !std::is_same_v<T, double>;
    return (streams == 2 || streams == 4) && c <= (wide ? kMostWhole : kMostChannels);
}

template <class T>
void StreamsOnGpu<T>::do_declare(Plan& plan, ParamStore<Real>& params) {
    v_.push_back(plan.scratch<T>("mixer.v.0", this->token_shape()));
    for (int l = 1; l <= this->sublayers(); ++l)
        v_.push_back(plan.saved<T>(fmt::format("mixer.v.{}", l), this->token_shape()));
    for (int l = 1; l <= this->sublayers() + 1; ++l) {
        Site& s = site(l);
        s.params.declare(params, l, this->layout());
        const auto name = [l](const char* what) { return fmt::format("mixer.{}.{}", what, l); };
        const auto scalars = [&](const char* what, int n) {
            return plan.saved<Real>(name(what), {{'M', n}, {'N', tokens()}});
        };
        s.x = plan.saved<T>(name("x"), {{'N', tokens()}, {'K', streams_}, {'C', channels()}});
        s.u = scalars("u", s.dots.n);
        s.scalars = scalars("scalars", n_scalars(l));
    }
    declare_scratch(plan);
}

template <class T>
void StreamsOnGpu<T>::declare_scratch(Plan& plan) {
    const Index n = tokens(), warps = (n + kWarp - 1) / kWarp,
                parts = std::is_same_v<T, Bf16> ? 2 : 1;
    Index numbers = 0, u = 0, vectors = 0, packed = 0, spread = 0, sums = 0, steps = 0, kept = 0;
    for (int l = 1; l <= this->sublayers() + 1; ++l) {
        const Site& s = site(l);
        const WriteDots write = by_write(l);
        numbers = std::max<Index>(numbers, s.n_numbers);
        u = std::max<Index>(u, s.dots.n);
        vectors = std::max<Index>(vectors, s.dots.m);
        packed = std::max(
            {packed, parts * s.dots.m * row_width(s.dots), write.packed_numbers(s.dots, streams_)});
        sums = std::max(sums, write.sums(s.dots, streams_) * n);
        spread = std::max(spread, parts * s.dots.m * padded_rows(s.dots));
        steps = std::max<Index>(steps, s.program.n_steps());
        kept = std::max<Index>(kept, s.program.n_saved());
    }
    const auto scalars = [&](const char* name, Index count, Index of) {
        return plan.scratch<Real>(fmt::format("mixer.{}", name), {{'M', count}, {'N', of}});
    };
    dv_ = plan.scratch<T>("mixer.dv", this->token_shape());
    dx_ = plan.scratch<T>("mixer.dx", {{'N', n}, {'K', streams_}, {'C', channels()}});
    moments_ = scalars("moments", 2 * streams_, n);
    numbers_ = scalars("numbers", numbers, 1);
    dnumbers_ = scalars("dnumbers", numbers, warps);
    dscalars_ = scalars("dscalars", n_scalars(1), n);
    du_ = scalars("du", u, n);
    steps_ = scalars("steps", steps, kWarp * warps);
    dsteps_ = scalars("dsteps", steps, kWarp * warps);
    kept_ = scalars("sinkhorn", kept, kWarp * warps);
    packed_ = plan.scratch<T>("mixer.packed", {{'W', packed}});
    spread_ = plan.scratch<T>("mixer.spread", {{'W', spread}});
    products_ = plan.scratch<Real>("mixer.products", {{'W', std::max({packed, spread, sums})}});
    totals_ = plan.scratch<Real>("mixer.totals", {{'M', vectors}});
}

template <class T>
void StreamsOnGpu<T>::do_begin(const Context& ctx) {
    if (copies_.made()) return;
    copies_.make(ctx.device, [&] {
        tables_.clear();
        for (const Site& s : sites_)
            tables_.push_back({s.program.tables(copies_), copies_(s.params.number_places())});
    });
}

template <class T>
void StreamsOnGpu<T>::do_read(const Context& ctx, int l, const PreNorm<T>& norm) {
    dispatch(ctx, "streams", [&](auto device) {
        on_gpu_alone<decltype(device)>();
        if constexpr (std::is_same_v<decltype(device), Cuda>) read(device, ctx, l, norm);
    });
}
template <class T>
void StreamsOnGpu<T>::do_read_backward(const Context& ctx, int l, const PreNorm<T>& norm) {
    dispatch(ctx, "streams", [&](auto device) {
        on_gpu_alone<decltype(device)>();
        if constexpr (std::is_same_v<decltype(device), Cuda>) read_backward(device, ctx, l, norm);
    });
}

// ---- for those who look on ----------------------------------------------------------------------

template <class T>
void StreamsOnGpu<T>::stream(const Context& ctx, int l, View<Real> out) const {
    widen<T>(ctx, ctx(site(l + 1).x), out);
}

template <class T>
auto StreamsOnGpu<T>::do_matrices(const Context& ctx) const -> typename DepthMixer<T>::OfToken {
    std::vector<std::vector<Real>> all;  // (numbers, N) of a site
    for (const Site& s : sites_) all.push_back(fetch<Real>(ctx(s.scalars)));
    return [this, all = std::move(all)](Index n, View<Real> m, int) {
        derive_matrix<Real>(
            *rule_,
            [&](int l, std::vector<double>& c, std::vector<double>& a) {
                const Real* next = all[static_cast<std::size_t>(l - 1)].data() + n;
                const auto take = [&](std::vector<double>& to, int count) {
                    for (to.clear(); count > 0; --count, next += tokens())
                        to.push_back(static_cast<double>(*next));
                };
                take(c, streams_);
                take(a, n_scalars(l) - streams_);
            },
            m);
    };
}

// Forward: X before and after, v; X for products, where there are; X. Backward: X, dX', v; where
// there are dots D, and again X, dX', D; dX, dv; X for the products. Scalars that pass from one
// kernel to another are written and read, those of earlier sites read.
template <class T>
MovedNumbers StreamsOnGpu<T>::moves(DepthCall call, int l) const {
    const StreamDots& dots = site(l).dots;
    const Index c = channels(), k = streams_, of_site = n_scalars(l), all = n_scalars(1),
                products =
                    (std::is_same_v<T, Bf16> ? 2 : 1) * dots.m * (dots.end_to_end ? 1 : streams_);
    if (call == DepthCall::read) {
        const WriteDots write = by_write(l);
        const bool at_write = write.tiles > 0;
        const Index rows = (l > 1 ? 2 * k : k) + 1 + (dots.m > 0 && !at_write ? k : 0) + k;
        const Index sums = at_write ? write.sums(dots, streams_) : 2 * k + products,
                    mixing = l > 1 ? k * (k + 1) * (at_write ? write.slabs : 1) : 0;
        return {rows * c, mixing + (dots.n > 0 ? 2 * (sums + dots.n) : 0) + of_site + k};
    }
    if (call != DepthCall::read_backward) return {};
    const Index dout = last(l) ? 0 : k, rows = k + dout + (last(l) ? 0 : 1) +
                                               (dots.n > 0 ? 2 + k + dout : 0) + k + 1 +
                                               (dots.m > 0 ? k : 0);
    return {rows * c + 2 * products,
            (dots.n > 0 ? 2 : 1) * of_site + (l > 1 ? k : 0) + 2 * all + 3 * dots.n};
}

template class StreamsOnGpu<float>;
template class StreamsOnGpu<double>;
template class StreamsOnGpu<Bf16>;

}  // namespace plumb
