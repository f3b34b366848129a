#include "bench/pass_bench.h"

#include "bench/bench.h"
#include "bench/mixer_walk.h"
#include "core/gpu.h"
#include "mixers/plain.h"
#include "model/sublayers.h"
#include "model/weights.h"

#include <limits>

namespace plumb {
namespace {

bool has_time() { return !gpu::is_emulated(); }

ModelCosts costs_of(const ModelConfig& m) {
    ModelCosts costs;
    const Layout layout = m.layout();
    for (int l = 1; l <= layout.sublayers(); ++l) {
        const SublayerCosts of = find_sublayer(layout.kind(l)).costs(m);
        for (const MatrixProduct& p : of.products) costs.weights += p.weights();
        costs.attention_flops += of.further;
        const AttentionShape s = attention_shape(m, 1);
        if (layout.kind(l) == "attn")
            costs.attention_numbers += static_cast<double>(s.qkv_width() + s.out_width());
        else
            costs.activation_numbers += 3 * static_cast<double>(up_width(m) + m.mlp_hidden);
    }
    return costs;
}

template <class T>
MixerWalk<T> walk_of(const Config& config, Index tokens, const Context& ctx) {
    const ModelConfig model = config.model.resolved();
    return {make_mixer<T>(config.mixer,
                          {model.layout(), tokens, model.width, model.norm_eps, ctx.device}),
            ctx};
}

// Bytes of each call go to its site; those of a token are the same for any number of them.
template <class T>
void count(MixerWalk<T>& walk, PassBench& row) {
    const auto norm = 2.0 * static_cast<double>(walk.mixer().shape().channels) * sizeof(T);
    for (int l = 1; l <= std::ssize(row.sites); ++l)
        for (SitePass& pass : row.sites[static_cast<std::size_t>(l - 1)])
            pass = {norm * walk.mixer().ways(l), std::numeric_limits<double>::quiet_NaN()};
    const auto tokens = static_cast<double>(walk.mixer().shape().tokens);
    walk.run([&](bool backward, int l, auto&& call) {
        Profile profile;
        call(&profile);
        row.sites[static_cast<std::size_t>(l - 1)][backward].bytes += profile.mixer_bytes / tokens;
    });
}

// Of the median walk by site and direction; the first one warms up.
template <class T>
void measure(MixerWalk<T>& walk, PassBench& row, int walks) {
    using OfWalks = std::array<std::vector<double>, 2>;
    std::vector<OfWalks> all(row.sites.size());
    for (int i = 0; i <= walks; ++i) {
        gpu::Marks marks;
        std::vector<std::pair<std::size_t, bool>> calls;
        walk.run([&](bool backward, int l, auto&& call) {
            if (calls.empty()) marks.mark();
            call(nullptr);
            marks.mark();  // where the next call begins: nothing is asked between two
            calls.emplace_back(static_cast<std::size_t>(l - 1), backward);
        });
        const std::vector<double> seconds = marks.seconds();
        std::vector<std::array<double, 2>> of_walk(row.sites.size());
        for (std::size_t k = 0; k < calls.size(); ++k)
            of_walk[calls[k].first][calls[k].second] += seconds[k];
        for (std::size_t l = 0; i > 0 && l < all.size(); ++l)
            for (const std::size_t d : {0, 1}) all[l][d].push_back(of_walk[l][d]);
    }
    for (std::size_t l = 0; l < all.size(); ++l)
        for (const std::size_t d : {0, 1}) row.sites[l][d].seconds = spread(all[l][d]).median;
}

template <class T>
PassBench bench_mixer(const BenchMixer& mixer, const Config& config, const PassBenches& of,
                      const Context& ctx, int walks) {
    PassBench row{.mixer = mixer};
    row.floor = pass_floor(config.mixer, config.model.resolved().layout(), sizeof(T) == 2);
    row.sites.resize(static_cast<std::size_t>(of.sublayers + 1));
    auto one_token = walk_of<T>(config, 1, ctx);
    row.fused = dynamic_cast<const Plain<T>*>(&one_token.mixer()) == nullptr;
    count(one_token, row);
    if (!has_time()) return row;
    auto walk = walk_of<T>(config, of.tokens, ctx);
    measure(walk, row, walks);
    return row;
}

}  // namespace

double PassBench::bytes(int direction) const {
    double sum = 0;
    for (const auto& site : sites) sum += site[static_cast<std::size_t>(direction)].bytes;
    return sum;
}

double PassBench::seconds(int direction) const {
    double sum = 0;
    for (const auto& site : sites) sum += site[static_cast<std::size_t>(direction)].seconds;
    return sum;
}

PassBenches bench_passes(const BenchShape& shape, const std::vector<BenchMixer>& mixers,
                         const std::vector<std::string>& overrides, const Context& ctx,
                         const std::string& precision, int walks,
                         const std::function<void(double, const std::string&)>& progress) {
    check_bench_overrides(mixers, overrides);
    std::vector<Config> configs;
    for (const BenchMixer& m : mixers) configs.push_back(bench_config(shape, m, overrides));
    const Config& base = configs.front();
    const ModelConfig model = base.model.resolved();
    const double item = precision == "bf16" ? sizeof(Bf16) : sizeof(float);
    PassBenches out{
        {shape.name, model.layers, model.width, model.heads, model.context, base.train.batch},
        precision,
        base.train.batch * model.context,
        model.layout().sublayers(),
        item * static_cast<double>(model.width),
        costs_of(model),
        {}};
    for (std::size_t i = 0; i < mixers.size(); ++i) {
        if (progress)
            progress(static_cast<double>(i) / static_cast<double>(mixers.size()),
                     "passes of " + mixers[i].label);
        const auto bench = precision == "bf16" ? bench_mixer<Bf16> : bench_mixer<float>;
        out.rows.push_back(bench(mixers[i], configs[i], out, ctx, walks));
    }
    return out;
}

}  // namespace plumb
