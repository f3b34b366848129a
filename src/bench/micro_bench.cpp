#include "bench/micro_bench.h"

#include "bench/bench.h"
#include "bench/mixer_walk.h"
#include "core/clock.h"
#include "core/flush_to_zero.h"
#include "model/model.h"
#include "model/weights.h"
#include "ops/activation.h"
#include "ops/adamw.h"
#include "ops/attention.h"
#include "ops/cross_entropy.h"
#include "ops/embedding.h"
#include "ops/muon.h"
#include "ops/pre_norm_cpu.h"
#include "ops/reduce.h"

#include <algorithm>
#include <cmath>

namespace plumb {
namespace {

// Median over at least 5 calls and kSeconds of them, after one that does not count.
template <class F>
double median_seconds(F&& call) {
    constexpr double kSeconds = 0.05;
    constexpr std::size_t kCalls = 5;
    call();
    std::vector<double> times;
    const auto start = Clock::now();
    while (times.size() < kCalls || seconds_since(start) < kSeconds) {
        times.push_back(seconds_of(call));
    }
    return spread(times).median;
}

// Numbers in [-1, 1] in memory of their own.
template <class T>
class Buffer {
public:
    explicit Buffer(Shape shape) : shape_(shape), data_(static_cast<std::size_t>(shape.count())) {
        for (std::size_t i = 0; i < data_.size(); ++i)
            data_[i] = static_cast<T>(std::sin(static_cast<float>(i % 4099)));
    }
    operator View<T>() { return view(); }
    operator View<const T>() { return view(); }
    View<T> view() { return {data_.data(), shape_, Device::cpu}; }

private:
    Shape shape_;
    std::vector<T> data_;
};

}  // namespace

// ---- floors ------------------------------------------------------------------------------------

void set_floor(MicroBench& m, double best_flops_per_s, const std::vector<Bandwidth>& bandwidths,
               double working_set) {
    if (m.flops <= 0 && m.bytes <= 0) return;
    const double compute = m.flops / best_flops_per_s,
                 memory = m.bytes / rate_for(bandwidths, working_set);
    m.floor = std::max(compute, memory);
    m.bound = compute > memory ? "flops" : "bytes";
}

// ---- ops ---------------------------------------------------------------------------------------

namespace {

template <class T>
class Ops {
public:
    using Real = RealOf<T>;

    Ops(const BenchShape& shape, const Config& config, const Context& ctx,
        const std::string& precision, const std::vector<Bandwidth>& bandwidths)
        : shape_(shape),
          model_(config.model.resolved()),
          batch_(config.train.batch),
          n_(batch_ * model_.context),
          ctx_(ctx),
          precision_(precision),
          bandwidths_(bandwidths) {}

    Index vocab() const { return shape_.vocab; }
    void products();
    void attention_ops();
    void activation_ops();
    void head_ops();
    void norm_ops();
    void optimizer_ops(Index n_params);
    void muon_of_up();
    void mixer_ops(const BenchMixer& mixer, const MixerConfig& config);

    std::vector<MicroBench> rows;

private:
    void add(const std::string& op, double seconds, double flops, double bytes, double best,
             double working_set = 0) {
        MicroBench m{shape_.name, precision_, op, seconds, flops, bytes, 0, ""};
        set_floor(m, best, bandwidths_, working_set > 0 ? working_set : bytes);
        rows.push_back(std::move(m));
    }
    // An op that only streams over memory.
    template <class F>
    void stream(const std::string& op, double bytes, F&& call, double working_set = 0) {
        add(op, median_seconds(call), 0, bytes, best_float_, working_set);
    }
    double rows_of(Index width) const { return static_cast<double>(n_ * width); }

    BenchShape shape_;
    ModelConfig model_;
    Index batch_, n_;
    Context ctx_;
    std::string precision_;
    std::vector<Bandwidth> bandwidths_;
    double best_ = 0, best_float_ = 0;  // FLOP/s of the fastest product, and in float
};

double best_rate(const std::vector<GemmTime>& times) {
    double best = 0;
    for (const GemmTime& g : times)
        best = std::max(best, g.flops() / std::min({g.forward, g.dx, g.dw}));
    return best;
}

template <class T>
void Ops<T>::products() {
    constexpr int kRepeats = 15;
    const auto times = measure_gemms(ctx_, model_, shape_.vocab, n_, precision_, kRepeats);
    best_ = best_float_ = best_rate(times);
    if (precision_ != "fp32")
        best_float_ = best_rate(measure_gemms(ctx_, model_, shape_.vocab, n_, "fp32", kRepeats));
    for (const GemmTime& g : times) {
        const double x = rows_of(g.in) * sizeof(T), y = rows_of(g.out) * sizeof(T);
        const double w = static_cast<double>(g.out * g.in);
        add("gemm " + g.name + " forward", g.forward, g.flops(), x + y + w * sizeof(T), best_);
        add("gemm " + g.name + " dx", g.dx, g.flops(), x + y + w * sizeof(T), best_);
        add("gemm " + g.name + " dw", g.dw, g.flops(), x + y + 2 * w * sizeof(Real), best_);
    }
}

template <class T>
void Ops<T>::attention_ops() {
    const AttentionShape s{batch_, model_.context, model_.heads, model_.kv_heads, model_.head_dim};
    const Index t = s.context, half = s.head_dim / 2;
    Buffer<T> qkv({{'N', n_}, {'Q', s.qkv_width()}}), dqkv({{'N', n_}, {'Q', s.qkv_width()}});
    Buffer<T> out({{'N', n_}, {'Q', s.out_width()}}), dout({{'N', n_}, {'Q', s.out_width()}});
    Buffer<Real> lse({{'B', batch_}, {'H', s.heads}, {'T', t}});
    Buffer<Real> scratch({{'P', ctx_.threads}, {'S', attention_scratch(s)}});
    Buffer<Real> cos({{'T', t}, {'D', half}}), sin({{'T', t}, {'D', half}});
    rope_table<Real>(model_.rope_base, cos, sin);
    const AttentionWorkspace<Real> work{cos, sin, scratch, {}};
    const double forward =
        median_seconds([&] { attention<T>(ctx_, s, qkv, {}, {}, Real(0), out, lse, work); });
    const double backward = median_seconds([&] {
        attention_backward<T>(ctx_, s, dout, qkv, {}, {}, Real(0), out, lse, dqkv, {}, {}, work);
    });
    // A query meets t+1 keys. Forward: scores, values; backward: scores again, dP, dQ, dK, dV.
    const double pair = 2.0 * static_cast<double>(s.out_width());
    const double pairs = rows_of(1) * static_cast<double>(t + 1) / 2;
    const double io = rows_of(s.qkv_width() + s.out_width()) * sizeof(T);
    add("attention forward", forward, 2 * pair * pairs, io, best_float_);
    add("attention backward", backward, 5 * pair * pairs, 2 * io, best_float_);
}

template <class T>
void Ops<T>::activation_ops() {
    const bool swiglu = model_.mlp == "swiglu";
    const Activation kind = swiglu ? Activation::swiglu : Activation::gelu;
    const Index f = model_.mlp_hidden, wide = swiglu ? 2 * f : f;
    Buffer<T> up({{'N', n_}, {'F', wide}}), dup({{'N', n_}, {'F', wide}});
    Buffer<T> a({{'N', n_}, {'F', f}}), da({{'N', n_}, {'F', f}});
    stream("activation forward", rows_of(wide + f) * sizeof(T),
           [&] { activation<T>(ctx_, kind, up, a); });
    stream("activation backward", rows_of(2 * wide + 2 * f) * sizeof(T),
           [&] { activation_backward<T>(ctx_, kind, up, da, dup, a); });
}

// Loss and embedding.
template <class T>
void Ops<T>::head_ops() {
    const Index v = shape_.vocab, c = model_.width;
    Buffer<Real> logits({{'N', n_}, {'V', v}}), losses({{'N', n_}}), table({{'V', v}, {'C', c}});
    Buffer<T> x({{'N', n_}, {'C', c}}), dlogits({{'N', n_}, {'V', v}});
    std::vector<std::int32_t> ids(static_cast<std::size_t>(n_));
    for (Index i = 0; i < n_; ++i)
        ids[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(7919 * i % v);
    const View<const std::int32_t> tokens{ids.data(), {{'N', n_}}, Device::cpu};
    const auto scored = static_cast<double>(n_);
    stream("cross-entropy forward", rows_of(v) * sizeof(Real),
           [&] { cross_entropy<Real>(ctx_, logits, tokens, losses); });
    stream("cross-entropy and gradient", rows_of(v) * (2 * sizeof(Real) + sizeof(T)), [&] {
        cross_entropy_gradient<T>(ctx_, logits, tokens, losses, Real(1), host_scalar(scored),
                                  dlogits);
    });
    stream("embedding forward", rows_of(c) * (sizeof(Real) + sizeof(T)),
           [&] { embedding<T>(ctx_, tokens, table, x); });
    stream("embedding backward", rows_of(c) * (2 * sizeof(Real) + sizeof(T)),
           [&] { embedding_backward<T>(ctx_, tokens, x, table); });
}

template <class T>
void Ops<T>::norm_ops() {
    const Index c = model_.width, chunks = n_chunks(n_);
    Buffer<Real> h({{'N', n_}, {'C', c}}), rstd({{'N', n_}}), gain({{'C', c}});
    Buffer<Real> dgain({{'P', chunks}, {'C', c}}), d({{'P', chunks}, {'C', c}});
    Buffer<T> xhat({{'N', n_}, {'C', c}}), x({{'N', n_}, {'C', c}}), dx({{'N', n_}, {'C', c}});
    const PreNorm<T> norm{xhat, rstd, gain, x, static_cast<Real>(model_.norm_eps), dx, dgain};
    const Real* rows_in = h.view().data;
    stream("pre-norm forward", rows_of(c) * (sizeof(Real) + 2 * sizeof(T)),
           [&] { for_tokens(ctx_, n_, [&](Index n) { norm_put(norm, n, rows_in + n * c); }); });
    const View<Real> row = d;
    stream("pre-norm backward", rows_of(c) * 2 * sizeof(T), [&] {
        clear<Real>(ctx_, dgain);
        for_tokens(ctx_, n_, [&](Index n) { norm_gradient(norm, n, row.row(n / kTokenChunk)); });
    });
}

template <class T>
void Ops<T>::optimizer_ops(Index n_params) {
    constexpr Index kRow = 16;  // the flat arrays are whole rows of 16
    const Shape shape{{'P', (n_params + kRow - 1) / kRow}, {'C', kRow}};
    Buffer<Real> w(shape), g(shape), m(shape), v(shape);
    for (Index i = 0; i < shape.count(); ++i) v.view().data[i] = Real(1);
    const double bytes = static_cast<double>(shape.count()) * sizeof(Real);
    double sum = 0;
    stream("gradient norm", bytes, [&] { total_dot<Real>(ctx_, g, g, host_scalar(sum)); });
    const double scale = 1;
    const AdamWStep step{1e-3, 0.9, 0.95, 1e-8, 0.1, host_scalar(scale), 10};
    stream(
        "adamw", 7 * bytes, [&] { adamw<Real>(ctx_, step, w, g, m, v); }, 4 * bytes);
    muon_of_up();
}

// The first matrix of an MLP; its bytes are those of value, gradient and momentum.
template <class T>
void Ops<T>::muon_of_up() {
    const Index out = up_width(model_), c = model_.width;
    const Shape shape{{'O', out}, {'I', c}};
    Buffer<Real> w(shape), g(shape), momentum(shape);
    Buffer<Real> scratch({{'S', muon_scratch(out, c)}});
    const double scale = 1;
    double square = 0;
    const MuonStep step{1e-3, 0.95, 0.1, host_scalar(scale)};
    add("muon up", median_seconds([&] {
            muon<Real>(ctx_, step, w, g, momentum, scratch, host_scalar(square));
        }),
        muon_flops(out, c), 5 * static_cast<double>(shape.count()) * sizeof(Real), best_float_);
}

template <class T>
void Ops<T>::mixer_ops(const BenchMixer& mixer, const MixerConfig& config) {
    const Layout layout = model_.layout();
    const int sublayers = layout.sublayers();
    MixerWalk<T> walk(make_mixer<T>(config, {layout, n_, model_.width, model_.norm_eps}), ctx_);
    constexpr int kWalks = 6;
    std::vector<double> seconds[2];
    double bytes[2]{};
    for (int i = 0; i < kWalks; ++i) {
        Profile parts[2];
        walk.run(parts[0], parts[1]);
        for (int k : {0, 1}) {
            if (i > 0)
                seconds[k].push_back(parts[k].seconds[static_cast<std::size_t>(Part::mixer)]);
            bytes[k] = parts[k].mixer_bytes;
        }
    }
    // The norms' part: xhat and x written, xhat and dx read, at L + 1 sites.
    const double norms = 2 * rows_of(model_.width) * sizeof(T) * (sublayers + 1);
    for (int k : {0, 1})
        add(fmt::format("mixer {} {}", mixer.label, k == 0 ? "forward" : "backward"),
            spread(seconds[k]).median / sublayers, 0,
            bytes[k] > 0 ? (bytes[k] + norms) / sublayers : 0, best_float_, walk.working_set);
}

template <class T>
std::vector<MicroBench> run(Ops<T> ops, const std::vector<BenchMixer>& mixers,
                            const std::vector<Config>& configs,
                            const std::function<void(double, const std::string&)>& progress) {
    const auto say = [&](double fraction, const std::string& what) {
        progress(fraction, "ops: " + what);
    };
    constexpr double kMixers = 0.4;  // the fraction of the work before them
    say(0, "matrix products");
    ops.products();
    say(kMixers / 2, "attention");
    ops.attention_ops();
    ops.activation_ops();
    ops.head_ops();
    ops.norm_ops();
    const Config& c = configs.front();
    ops.optimizer_ops(
        make_model({c.model, c.mixer, ops.vocab(), c.train.batch}, "fp32")->params().n_params());
    for (std::size_t i = 0; i < mixers.size(); ++i) {
        say(kMixers + (1 - kMixers) * static_cast<double>(i) / static_cast<double>(mixers.size()),
            "mixer " + mixers[i].label);
        ops.mixer_ops(mixers[i], configs[i].mixer);
    }
    return std::move(ops.rows);
}

// All ops kSweeps times, the fastest of each: a disturbance of a second spoils one sweep's figures
// of the ops at work.
template <class T>
std::vector<MicroBench> sweeps(const Ops<T>& ops, const std::vector<BenchMixer>& mixers,
                               const std::vector<Config>& configs,
                               const std::function<void(double, const std::string&)>& progress) {
    constexpr int kSweeps = 3;
    std::vector<MicroBench> best;
    for (int sweep = 0; sweep < kSweeps; ++sweep) {
        const auto part = [&](double fraction, const std::string& what) {
            if (progress) progress((sweep + fraction) / kSweeps, what);
        };
        const std::vector<MicroBench> rows = run(ops, mixers, configs, part);
        if (sweep == 0) best = rows;
        for (std::size_t i = 0; i < rows.size(); ++i) {
            best[i].seconds = std::min(best[i].seconds, rows[i].seconds);
            best[i].floor = std::min(best[i].floor, rows[i].floor);
        }
    }
    return best;
}

}  // namespace

std::vector<MicroBench> micro_bench(
    const BenchShape& shape, const std::vector<BenchMixer>& mixers,
    const std::vector<std::string>& overrides, const Context& ctx, const std::string& precision,
    const std::vector<Bandwidth>& bandwidths,
    const std::function<void(double, const std::string&)>& progress) {
    check_bench_overrides(mixers, overrides);
    std::vector<std::string> settings = overrides;
    if (precision != "fp32") settings.push_back("train.precision=" + precision);
    std::vector<Config> configs;
    for (const BenchMixer& m : mixers) configs.push_back(bench_config(shape, m, settings));
    set_up_threads(ctx);
    const FlushToZero flush;
    const Config& c = configs.front();
    if (precision == "bf16")
        return sweeps(Ops<Bf16>(shape, c, ctx, precision, bandwidths), mixers, configs, progress);
    return sweeps(Ops<float>(shape, c, ctx, precision, bandwidths), mixers, configs, progress);
}

}  // namespace plumb
