#include "mixers/memories/averages.h"

#include "core/parallel.h"
#include "mixers/derive_matrix.h"
#include "mixers/plain_plan.h"
#include "ops/pre_norm_cpu.h"
#include "ops/reduce.h"

namespace plumb {
namespace {

// Entries of A at the end of block k that are a[k,j], j <= k; -1: none. Empty where Y_k is X_k.
std::vector<Index> entries_of(const PlainPlan& plan, const Rule& rule, int k) {
    if (k == 0) return {};
    const int l = rule.layout().end_of(k), ins = rule.rows(l) + 1;
    const int first = (rule.rows(l + 1) - 1) * ins;
    std::vector<Index> entries(static_cast<std::size_t>(k + 1), -1);
    if (rule.params(l).empty()) return {};
    for (const PlainPlan::Term& term : plan.site(l).writes.back().terms)
        if (term.entry - first <= k)
            entries[static_cast<std::size_t>(term.entry - first)] = term.entry;
    return entries;
}

template <class Real>
auto averages_of(const Rule& rule) {
    const PlainPlan plan(rule);
    std::vector<typename ConstantWeights<Real>::From> reads;
    for (int k = 0; k <= rule.layout().blocks(); ++k)
        reads.push_back({std::max(1, rule.layout().end_of(k)), true, entries_of(plan, rule, k)});
    return reads;
}

DepthSchedule schedule_of(const Rule& rule, DepthSchedule::Sizes groups) {
    const auto reads = averages_of<double>(rule);
    return {rule.layout().blocks(), 1, groups, [&](int l, int j) {
                const std::vector<Index>& entries = reads[static_cast<std::size_t>(l - 1)].entries;
                return j < l - 1 && !entries.empty() && entries[static_cast<std::size_t>(j)] >= 0;
            }};
}

template <class T>
auto averages_on_gpu(const Rule& rule) {
    const auto reads = averages_of<RealOf<T>>(rule);
    const ConstantWeights<RealOf<T>> constants(rule, reads);
    std::vector<typename AveragesOnGpu<T>::Average> averages;
    for (int k = 0; k < static_cast<int>(reads.size()); ++k) {
        const auto& [site, write, entries] = reads[static_cast<std::size_t>(k)];
        auto& average = averages.emplace_back();
        average.site = site, average.program = constants.program(k + 1);
        for (int j = 0; j < std::min<int>(k, static_cast<int>(entries.size())); ++j)
            if (entries[static_cast<std::size_t>(j)] >= 0) average.sources.push_back(j);
    }
    return averages;
}

}  // namespace

template <class T>
bool Averages<T>::runs_on_gpu(const Rule& rule) {
    return AveragesOnGpu<T>::carries(averages_on_gpu<T>(rule));
}

template <class T>
Averages<T>::Averages(RulePtr rule, DepthSchedule::Sizes groups)
    : DepthMixer<T>(rule->shape()),
      rule_(std::move(rule)),
      sources_(schedule_of(*rule_, groups)),
      constants_(*rule_, averages_of<Real>(*rule_)) {}

template <class T>
void Averages<T>::do_declare(Plan& plan, ParamStore<Real>& params) {
    const Index c = channels(), chunks = n_chunks(this->shape().tokens);
    std::vector<std::vector<Param<Real>>> all;
    for (int l = 1; l <= this->sublayers() + 1; ++l) {
        all.emplace_back();
        for (const RuleParam& p : rule_->params(l))
            all.back().push_back(params.declare(param_spec(p, l, this->layout())));
    }
    if (plan.device() == Device::cuda)
        gpu_.declare(plan, this->shape(), averages_on_gpu<T>(*rule_), all);
    constants_.declare(plan, std::move(all));
    h_ = plan.scratch<Real>("mixer.h", this->token_shape());
    v_ = plan.scratch<T>("mixer.v", this->token_shape());
    dh_ = plan.scratch<Real>("mixer.dh", this->token_shape());
    if constexpr (kRounds)
        dv_ = plan.scratch<T>("mixer.dv", this->token_shape());
    else
        dv_ = dh_;
    sources_.declare(plan, "mixer.x", this->token_shape(), dv_);
    rows_ = plan.cpu_scratch<Real>("mixer.rows",
                                   {{'P', chunks}, {'R', 1 + kMaxGroup * tile_tokens()}, {'C', c}});
    numbers_ = plan.cpu_scratch<Real>("mixer.numbers", {{'P', chunks}, {'W', bench_numbers()}});
    sums_ = plan.cpu_scratch<double>("mixer.sums", {{'P', chunks}, {'W', n_sums()}});
}

template <class T>
auto Averages<T>::here(const Context& ctx, int l) const -> Here {
    Here at{.k = block_ending(l - 1),
            .x = ctx(sources_.tensor(0)).data,
            .v = this->slot(ctx, l - 1).data,
            .dy = nullptr,
            .dv = ctx(dv_).data,
            .h = ctx(h_).data,
            .dh = ctx(dh_).data,
            .own = Real(1),
            .norms = this->left_norms(ctx)};
    if (!mixes(at.k)) return at;
    at.dy = dy(at, at.k);
    at.own = constants_.weight(ctx, at.k + 1, at.k);
    return at;
}

template <class T>
auto Averages<T>::bench(const Context& ctx, Index chunk) const -> Bench {
    Real *row = ctx(rows_).data + chunk * (1 + kMaxGroup * tile_tokens()) * channels(),
         *number = ctx(numbers_).row(chunk);
    Bench b{.d = row,
            .out = row + channels(),
            .w = number,
            .fresh = {},
            .p = {},
            .t = {},
            .sums = ctx(sums_).row(chunk)};
    b.fresh = b.w + (n_blocks() + 1) * kStep;
    b.p = b.fresh + width();
    b.t = b.p + kMaxGroup * width();
    return b;
}

// ---- forward ------------------------------------------------------------------------------------

// h = X_k -> Y_k; the mixes of later averages wait for them.
template <class T>
void Averages<T>::average(const Here& at, Index begin, Index count, const Bench& bench) const {
    const int l = at.k + 1;
    const DepthSchedule::Read& read = schedule().read(l);
    T* x = at.x + begin;
    Real *h = at.h + begin, *out = bench.out;
    if (at.k > 0) copy_row(h, sources_.row(x, at.k), count);
    if (l == read.first && !read.old.empty()) {
        sources_.mix_old(x, l, bench.w, count, out, count);
        sources_.leave(x, l, count, out);
    }
    if (sources_.merges(l)) sources_.mix_fresh(x, l, bench.fresh, count, out);
    if (!mixes(at.k)) return;
    const Real own = at.own;
    if (sources_.n_terms(l) == 0)
        for (Index j = 0; j < count; ++j) h[j] *= own;
    else
        for (Index j = 0; j < count; ++j) h[j] = own * h[j] + out[j];
}

template <class T>
[[gnu::always_inline]] inline void Averages<T>::fetch_read(const Here& at, Index begin,
                                                           Index count) const {
    prefetch_write(sources_.row(at.x + begin, at.k), count);
    sources_.fetch_read(at.x + begin, at.k + 1, count);
}

template <class T>
void Averages<T>::do_read(const Context& ctx, int l, const PreNorm<T>& norm) {
    if (on_gpu(ctx)) return gpu_.read(ctx, site_on_gpu(ctx, l, false), norm);
    const Index c = channels(), tile = tile_tokens();
    const Here at = here(ctx, l);
    for_chunks(ctx, this->shape().tokens, [&](Index begin, Index end, Index chunk) {
        const Bench b = bench(ctx, chunk);
        if (at.k >= 0) constants_.open_read(ctx, schedule(), at.k + 1, b.w, b.fresh);
        for (Index first = begin; first < end; first += tile) {
            const Index next = std::min(first + tile, end), count = (next - first) * c;
            Real* h = at.h + first * c;
            if (l == 1)
                copy_row(at.v + first * c, h, count);
            else
                axpy(Real(1), at.v + first * c, h, count);
            if (at.k >= 0) {
                if (next < end) fetch_read(at, next * c, std::min(tile, end - next) * c);
                average(at, first * c, count, b);
            }
            for (Index n = first; n < next; ++n) norm_put(norm, n, at.h + n * c);
        }
        end_stream();
    });
}

// ---- backward -----------------------------------------------------------------------------------

// dh = dY_k -> dX_k, and what its group's other sources get meanwhile.
template <class T>
void Averages<T>::pull(const Here& at, Index begin, Index count, const Bench& bench) const {
    const DepthSchedule::Pull& pull = schedule().pull(at.k);
    const Index n_sources = std::ssize(pull.sources), readers = std::ssize(pull.readers);
    const auto index = [](Index i) { return static_cast<std::size_t>(i); };
    T* x = at.x + begin;
    Real *dh = at.dh + begin, *out = bench.out;
    if (at.dy) {
        bench.sums[n_sums() - 1] += static_cast<double>(row_dot(sources_.row(x, at.k), dh, count));
        copy_row(dh, at.dy + begin, count);
    }
    const Real own = at.own;
    for (Index j = 0; j < count; ++j) out[j] = own * dh[j];
    if (pull.adds) axpy(Real(1), sources_.row(x, sources_.place(at.k)), out, count);
    std::fill_n(out + count, (n_sources - 1) * count, Real(0));
    mix_rows_backward<T, T>(
        readers, [&](Index q) { return dy(at, pull.readers[index(q)] - 1) + begin; }, n_sources,
        [&](Index i) { return sources_.row(x, pull.sources[index(i)]); }, bench.p, 1, width(),
        count, out, count, true, bench.t, 1, width());
    for (Index i = 0; i < n_sources; ++i) {
        double* sums = bench.sums + i * width();
        const Real* t = bench.t + i * width();
        for (Index q = 0; q < readers; ++q) sums[q] += static_cast<double>(t[q]);
    }
    std::copy_n(out, count, dh);
    for (Index i = 1; i < n_sources; ++i)
        stream_row(out + i * count, sources_.row(x, sources_.place(pull.sources[index(i)])), count);
}

template <class T>
[[gnu::always_inline]] inline void Averages<T>::fetch_pull(const Here& at, Index begin,
                                                           Index count) const {
    const DepthSchedule::Pull& pull = schedule().pull(at.k);
    T* x = at.x + begin;
    if (pull.adds) prefetch_read(sources_.row(x, sources_.place(at.k)), count);
    for (const int j : pull.sources) prefetch_read(sources_.row(x, j), count);
    for (const int reader : pull.readers) prefetch_read(dy(at, reader - 1) + begin, count);
}

// dh becomes dLoss/d(stream that sublayer l reads). Where that is Y_k, it leaves as dX_k, the
// stream's gradient inside block k; averages of later blocks have left their dY already.
template <class T>
void Averages<T>::do_read_backward(const Context& ctx, int l, const PreNorm<T>& norm) {
    if (on_gpu(ctx)) return gpu_.read_backward(ctx, site_on_gpu(ctx, l, true), norm);
    const Index c = channels(), tile = tile_tokens();
    const bool last = l > this->sublayers();
    const Here at = here(ctx, l);
    if (last) constants_.begin_backward(ctx);
    for_chunks(ctx, this->shape().tokens, [&](Index begin, Index end, Index chunk) {
        const Bench b = bench(ctx, chunk);
        if (at.k >= 0) constants_.open_pull(ctx, schedule(), at.k, width(), b.p);
        std::fill_n(b.sums, n_sums(), 0.0);
        for (Index first = begin; first < end; first += tile) {
            const Index next = std::min(first + tile, end), count = (next - first) * c;
            Real* dh = at.dh + first * c;
            for (Index n = first; n < next; ++n) {
                Real* d = at.dh + n * c;
                norm_gradient(norm, n, last ? d : b.d);
                if (!last) axpy(Real(1), b.d, d, c);
            }
            if (at.k >= 0) {
                if (next < end) fetch_pull(at, next * c, std::min(tile, end - next) * c);
                pull(at, first * c, count, b);
            }
            if constexpr (kRounds) copy_row(dh, at.dv + first * c, count);
        }
        end_stream();
    });
    for (Index chunk = 0; at.k >= 0 && chunk < n_chunks(this->shape().tokens); ++chunk) {
        const double* sums = bench(ctx, chunk).sums;
        constants_.gradient(ctx, at.k + 1, at.k) += sums[n_sums() - 1];
        constants_.end_pull(ctx, schedule(), at.k, width(), sums);
    }
}

// ---- on a GPU -----------------------------------------------------------------------------------

template <class T>
auto Averages<T>::site_on_gpu(const Context& ctx, int l, bool backward) const ->
    typename AveragesOnGpu<T>::Site {
    typename AveragesOnGpu<T>::Site site{.k = block_ending(l - 1),
                                         .first = l == 1,
                                         .last = l > this->sublayers(),
                                         .v = this->slot(ctx, l - 1),
                                         .dv = ctx(dv_),
                                         .h = ctx(h_),
                                         .dh = ctx(dh_),
                                         .x = {},
                                         .dy = {}};
    for (int k = 0; site.k >= 0 && k <= n_blocks(); ++k) {
        site.x.push_back(ctx(sources_.tensor(k)).data);
        if (backward)
            site.dy.push_back(this->left_norms(ctx)[k == 0 ? 0 : this->layout().end_of(k)].xhat);
    }
    return site;
}

template <class T>
MovedNumbers Averages<T>::moves_on_gpu(DepthCall call, int l) const {
    const Index c = channels(), h = l == 1 ? 1 : 2, dh = l > this->sublayers() ? 1 : 2;
    const int k = block_ending(l - 1);
    if (call == DepthCall::read) {
        const Index past = k < 0 ? 0 : std::ssize(gpu_.average(k).sources);
        return {(1 + (k > 0) + past) * c, h * c};
    }
    const Index readers = k < 0 ? 0 : std::ssize(gpu_.readers(k));
    const bool own = k >= 0 && gpu_.average(k).mixes();
    return {(readers + own + (own || readers > 0) + kRounds) * c, dh * c};
}

// ---- what moves, M ------------------------------------------------------------------------------

template <class T>
MovedNumbers Averages<T>::moves(DepthCall call, int l) const {
    if (call != DepthCall::read && call != DepthCall::read_backward) return {};
    if (this->shape().device == Device::cuda) return moves_on_gpu(call, l);
    const Index c = channels(), h = l == 1 ? 1 : 2, dh = l > this->sublayers() ? 1 : 2;
    const int k = block_ending(l - 1);
    if (call == DepthCall::read) {
        // v and, at the end of a block, X_k written; read_rows() counts X_k as read
        const Index others = k < 0 ? 0 : schedule().read_rows(k + 1) - 1;
        return {(1 + (k > 0 ? 1 : 0) + others) * c, h * c};
    }
    // dY_k written; X_k, and what else DepthSchedule counts, but for dX_k, which stays in dh
    Index pulled = kRounds ? 1 : 0;  // dv
    if (mixes(k) || (k >= 0 && !schedule().pull(k).readers.empty()))
        pulled += schedule().pull_rows(k) - 1 + (mixes(k) ? 1 : 0);
    return {pulled * c, dh * c};
}

template <class T>
auto Averages<T>::do_matrices(const Context& ctx) const -> typename DepthMixer<T>::OfToken {
    std::vector<std::vector<double>> numbers;
    for (int l = 1; l <= this->sublayers() + 1; ++l) numbers.push_back(constants_.numbers(ctx, l));
    return [this, numbers = std::move(numbers)](Index, View<Real> m, int) {
        derive_matrix<Real>(
            *rule_,
            [&](int l, std::vector<double>& c, std::vector<double>& a) {
                const auto rows = static_cast<std::size_t>(rule_->rows(l));
                const std::vector<double>& p = numbers[static_cast<std::size_t>(l - 1)];
                c.assign(rows, 0.0);
                rule_->read(l, nullptr, p.data(), c.data());
                if (l > this->sublayers()) return;
                a.assign(static_cast<std::size_t>(rule_->rows(l + 1)) * (rows + 1), 0.0);
                rule_->write(l, nullptr, nullptr, p.data(), a.data());
            },
            m);
    };
}

template class Averages<float>;
template class Averages<double>;
template class Averages<Bf16>;

}  // namespace plumb
