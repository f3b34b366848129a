#include "gpu/walk_reference.h"

#include "check/toy_stack.h"
#include "core/rng.h"
#include "mixers/reference.h"
#include "mixers/sinkhorn.h"

#include <Random123/philox.h>

#include <cmath>

namespace plumb::test {
namespace {

using Numbers = std::vector<double>;

const Numbers* of_site(const std::map<std::string, Numbers>& all, int l, int L,
                       const std::string& name) {
    const auto found = all.find(Layout(L).name(l) + ".mixer." + name);
    return found == all.end() ? nullptr : &found->second;
}

Numbers copy(const double* from, Index n) { return {from, from + n}; }

}  // namespace

const Numbers* Walk::parameter(int l, const std::string& name) const {
    return of_site(value, l, L, name);
}
const Numbers* Walk::gradient(int l, const std::string& name) const {
    return of_site(grad, l, L, name);
}

Walk walk_reference(const std::string& mixer, const std::vector<std::string>& settings, int L,
                    int N, int C, std::uint64_t seed, bool bf16) {
    const MixerShape shape{L, N, C, 1e-6};
    Walk walk{L, N, C, shape.norm_eps, {}, {}, {}, {}, {}, {}, {}, {}};
    std::uint64_t drawn = 0;
    const auto draw = [&](Index n, double size) {
        const CounterRng rng(seed, "walk/" + std::to_string(drawn++));
        Numbers x(static_cast<std::size_t>(n));
        for (std::size_t i = 0; i < x.size(); ++i) {
            x[i] = size * rng.normal(i);
            if (bf16) x[i] = static_cast<double>(float{Bf16(static_cast<float>(x[i]))});
        }
        return x;
    };
    Reference reference(make_rule(mixer_config(mixer, settings), shape));
    Plan plan;
    ParamStore<double> params;
    reference.declare(plan, params);
    const Index n = N, c = C;
    const Shape rows{{'N', n}, {'C', c}};
    const auto x = plan.scratch<double>("x", rows), dx = plan.scratch<double>("dx", rows);
    const auto dgain = plan.scratch<double>("dgain", {{'P', n_chunks(n)}, {'C', c}});
    std::vector<Tensor<double>> xhat, rstd;
    for (int l = 1; l <= L + 1; ++l) {
        xhat.push_back(plan.saved<double>("xhat." + std::to_string(l), rows));
        rstd.push_back(plan.saved<double>("rstd." + std::to_string(l), {{'N', n}}));
    }
    params.allocate(seed);
    perturb(params, 1 / std::sqrt(static_cast<double>(C)), seed + 1);  // logits of order 1
    const Frame frame(std::move(plan), params);
    const Context ctx = Context{}.in(frame);
    walk.gain = draw(c, 0.1);
    for (double& g : walk.gain) g += 1;
    const auto norm = [&](int l) {
        PreNorm<double> p;
        p.xhat = ctx(xhat[static_cast<std::size_t>(l - 1)]);
        p.rstd = ctx(rstd[static_cast<std::size_t>(l - 1)]);
        p.gain = {walk.gain.data(), {{'C', c}}, Device::cpu};
        p.x = ctx(x), p.eps = walk.eps, p.dx = ctx(dx), p.dgain = ctx(dgain);
        return p;
    };
    const auto at = [](auto& all, int l) -> Numbers& { return all[static_cast<std::size_t>(l)]; };
    walk.xhat.resize(static_cast<std::size_t>(L + 2));
    walk.dx = walk.dgain = walk.xhat;
    walk.v.resize(static_cast<std::size_t>(L + 1));
    walk.dv = walk.v;
    const auto put = [&](int l) {
        at(walk.v, l) = draw(n * c, 1 + 0.3 * l);
        std::copy(at(walk.v, l).begin(), at(walk.v, l).end(), reference.slot(ctx, l).data);
    };
    put(0);
    reference.begin(ctx);
    for (int l = 1; l <= L + 1; ++l) {
        reference.read(ctx, l, norm(l));
        at(walk.xhat, l) = copy(norm(l).xhat.data, n * c);
        if (l > L) break;
        put(l);
        reference.write(ctx, l);
    }
    params.zero_grad();
    for (int l = L + 1; l >= 1; --l) {
        if (l <= L) at(walk.dv, l) = copy(reference.write_backward(ctx, l).data, n * c);
        at(walk.dx, l) = draw(n * c, 1);
        std::copy(at(walk.dx, l).begin(), at(walk.dx, l).end(), ctx(dx).data);
        reference.read_backward(ctx, l, norm(l));
        at(walk.dgain, l).assign(static_cast<std::size_t>(c), 0.0);
        for (Index p = 0; p < n_chunks(n); ++p)
            for (Index k = 0; k < c; ++k)
                at(walk.dgain, l)[static_cast<std::size_t>(k)] += ctx(dgain).row(p)[k];
    }
    at(walk.dv, 0) = copy(reference.begin_backward(ctx).data, n * c);
    for (const ParamSpec& spec : params.specs()) {
        const ParamId id = params.find(spec.name);
        walk.value[spec.name] = copy(params.value(id).data, params.value(id).count());
        walk.grad[spec.name] = copy(params.grad(id).data, params.grad(id).count());
    }
    return walk;
}

SinkhornReference sinkhorn_reference(const Numbers& logits, const Numbers& dp, int K, int iters) {
    SinkhornReference out{logits, dp};  // both in place
    double saved[sinkhorn_saves(kMaxSinkhornSize, kMaxSinkhornIters)];
    const auto size = static_cast<std::size_t>(K * K);
    for (std::size_t i = 0; i < logits.size(); i += size) {
        sinkhorn(K, iters, out.p.data() + i, saved);
        sinkhorn_backward(K, iters, saved, out.dlogits.data() + i);
    }
    return out;
}

std::vector<std::uint32_t> random123(const std::vector<std::uint32_t>& counters, std::uint32_t key0,
                                     std::uint32_t key1) {
    std::vector<std::uint32_t> out;
    for (std::size_t i = 0; i < counters.size(); i += 4) {
        const r123::Philox4x32::ctr_type counter{
            {counters[i], counters[i + 1], counters[i + 2], counters[i + 3]}};
        const auto words = r123::Philox4x32{}(counter, {{key0, key1}});
        for (std::size_t k = 0; k < 4; ++k) out.push_back(words[k]);
    }
    return out;
}

}  // namespace plumb::test
