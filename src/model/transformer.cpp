#include "model/transformer.h"

#include "core/flush_to_zero.h"
#include "core/gpu.h"
#include "model/weights.h"
#include "ops/embedding.h"
#include "ops/reduce.h"

#include <algorithm>

namespace plumb {
namespace {

constexpr const char* kEmbedSite = "embed";

}  // namespace

// ---- the walk ---------------------------------------------------------------------------------

template <class T>
void Transformer<T>::run_forward(const Context& context, Recorder<Real>* recorder,
                                 std::optional<DropoutKey> key, std::optional<Real> scale) {
    const FlushToZero flush;
    const Context ctx = home(context);
    Pass& pass = ctx(pass_);
    pass.recorder = recorder;
    pass.changed = changed_ != nullptr;
    pass.scale = scale;
    require(!pass.changed || !scale, "gradients of a forward with interventions");
    work_->begin_pass(ctx, key);
    const int last = this->sublayers();
    for (const auto& sublayer : sublayers_) sublayer->prepare(ctx);
    head_.prepare(ctx);
    const View<T> v0 = mixer_->slot(ctx, 0);
    embedding<T>(ctx, ctx(tokens_), ctx.value(embed_), v0);
    dropout<T>(ctx, work_->dropout(ctx, kEmbedSite), v0);
    if (changed_) changed_->output(ctx, 0, v0);
    record(ctx, Quantity::output, 0, v0);
    mixer_->begin(ctx);
    for (int l = 1; l <= last; ++l) {
        const Inputs<const T> x = normed(ctx, l);
        const View<T> v = mixer_->slot(ctx, l);
        const int sublayer = changed_ ? changed_->sublayer_at(l) : l;
        sublayers_[static_cast<std::size_t>(sublayer - 1)]->forward(ctx, x, v);
        if (changed_) changed_->output(ctx, l, v);
        record(ctx, Quantity::output, l, v);
        mixer_->write(ctx, l);
    }
    const View<const T> x = normed(ctx, last + 1).front();
    norms_.find_overflow(ctx, ctx(overflow_));
    head_.score(ctx, x, ctx(targets_), scale, input_gradients(ctx).front());
}

template <class T>
void Transformer<T>::backward(const Context& context, Real scale, Recorder<Real>* recorder) {
    const FlushToZero flush;
    const Context ctx = home(context);
    Pass& pass = ctx(pass_);
    require(!pass.changed, "backward after a forward with interventions");
    require(!pass.scale || *pass.scale == scale, "backward of another scale than forward's");
    pass.recorder = recorder;
    const int last = this->sublayers();
    const Inputs<T> dx = input_gradients(ctx);
    if (!pass.scale)
        head_.score(ctx, normed_again(ctx, last + 1).front(), ctx(targets_), scale, dx.front());
    pass.scale.reset();
    norm_backward(ctx, last + 1);
    for (int l = last; l >= 1; --l) {
        const View<const T> dv = mixer_->write_backward(ctx, l);
        record(ctx, Quantity::doutput, l, dv);
        gpu::join();  // the sublayer above: it reads x, and scratch that this one shares
        const Inputs<const T> x = normed_again(ctx, l);
        sublayers_[static_cast<std::size_t>(l - 1)]->backward(ctx, dv, x, dx);
        norm_backward(ctx, l);
    }
    View<const T> dv = mixer_->begin_backward(ctx);
    record(ctx, Quantity::doutput, 0, dv);
    if (const Dropout mask = work_->dropout(ctx, kEmbedSite)) {
        const View<T> behind = ctx(work_->dv);
        copy<T>(ctx, dv, behind);
        dropout<T>(ctx, mask, behind);
        dv = behind;
    }
    embedding_backward<T>(ctx, ctx(tokens_), dv, ctx.grad(embed_));
    gpu::join();
}

template <class T>
void Transformer<T>::intervene(const Interventions* what) {
    changed_.reset();
    if (what) changed_ = std::make_unique<IntervenedWalk<T>>(*what, mixer_->shape());
}

// x = norm(h_l), of each way: what F_l, or the head, sees. Swapped to where there is one way, an
// attention makes its queries, keys and values from that; an MLP takes the first of several.
template <class T>
Inputs<const T> Transformer<T>::normed(const Context& ctx, int l) {
    const int sublayer = changed_ ? changed_->sublayer_at(l) : l;
    const int ways = mixer_->ways(l), wanted = mixer_->ways(sublayer);
    PreNorms site = norms_.at(ctx, l);
    for (int way = 0; way < std::max(ways, wanted); ++way) {
        PreNorm<T>& n = site[static_cast<std::size_t>(way)];
        if (way >= ways) n = site.front(), n.x = norms_.x(ctx, way);
        n.gain = ctx.value(norms_.gain(sublayer, std::min(way, wanted - 1)));
    }
    mixer_->read(ctx, l, ways_of(site, l));
    Inputs<const T> x;
    for (int way = 0; way < std::max(ways, wanted); ++way) {
        const PreNorm<T>& n = site[static_cast<std::size_t>(way)];
        if (way >= ways) apply_gain<T>(ctx, n.xhat, n.gain, n.x);
        if (changed_) changed_->read(ctx, l, *mixer_, way < ways ? way : 0, n);
        x[static_cast<std::size_t>(way)] = n.x;
    }
    record(ctx, Quantity::stream, l - 1, mixer_->stream_width(),
           [&](View<Real> out) { mixer_->stream(ctx, l - 1, out); });
    record(ctx, Quantity::read_input, l, shape_.model.width,
           [&](View<Real> out) { norm_values<T>(ctx, site.front(), out); });
    return x;
}

// The same x, for backward.
template <class T>
Inputs<const T> Transformer<T>::normed_again(const Context& ctx, int l) const {
    const PreNorms site = norms_.at(ctx, l);
    Inputs<const T> x;
    for (std::size_t way = 0; way < ways_of(site, l).size(); ++way) {
        apply_gain<T>(ctx, site[way].xhat, site[way].gain, site[way].x);
        x[way] = site[way].x;
    }
    return x;
}

template <class T>
Inputs<T> Transformer<T>::input_gradients(const Context& ctx) const {
    Inputs<T> dx;
    for (int way = 0; way < kMostWays; ++way)
        dx[static_cast<std::size_t>(way)] = norms_.dx(ctx, way);
    return dx;
}

// The gradients of x are in dx.
template <class T>
void Transformer<T>::norm_backward(const Context& ctx, int l) {
    const PreNorms site = norms_.at(ctx, l);
    record(ctx, Quantity::dread_input, l, shape_.model.width,
           [&](View<Real> out) { norm_gradients<T>(ctx, site.front(), out); });
    mixer_->read_backward(ctx, l, ways_of(site, l));
    for (int way = 0; way < mixer_->ways(l); ++way)
        add_partials<Real>(ctx, site[static_cast<std::size_t>(way)].dgain,
                           ctx.grad(norms_.gain(l, way)));
}

template <class T>
template <class F>
void Transformer<T>::record(const Context& ctx, Quantity what, int l, Index width, F&& fill) const {
    Pass& pass = ctx(pass_);
    if (!pass.recorder) return;
    const Index n = shape_.tokens();
    if (!pass.shown || pass.shown->size() < n * width)
        pass.shown = std::make_shared<DeviceArray<Real>>(n * width, ctx.device);
    const View<Real> shown = pass.shown->view(0, {{'N', n}, {'C', width}});
    fill(shown);
    if (ctx.device == Device::cpu) return pass.recorder->tensor(ctx, what, l, shown);
    pass.fetched.resize(static_cast<std::size_t>(n * width));
    fetch<Real>(shown, pass.fetched.data());
    pass.recorder->tensor(ctx.on_host(), what, l, {pass.fetched.data(), shown.shape});
}

template <class T>
void Transformer<T>::record(const Context& ctx, Quantity what, int l, View<const T> x) const {
    record(ctx, what, l, x.extent(1), [&](View<Real> out) { widen<T>(ctx, x, out); });
}

// ---- declaration --------------------------------------------------------------------------------

template <class T>
Transformer<T>::Transformer(const TransformerShape& shape)
    : shape_{shape.model.resolved(), shape.batch, shape.threads},
      vocab_(shape.vocab),
      plan_(shape.device),
      params_(shape.device),
      norms_(shape_.model, shape_.tokens(), Norms<T>::For::training),
      pass_(plan_.state(Pass{})) {
    const ModelConfig& m = shape_.model;
    const Index n = shape_.tokens(), c = m.width;
    require(vocab_ >= 1 && shape.batch >= 1 && shape.threads >= 1, "vocab, batch, threads >= 1");
    mixer_ = make_mixer<T>(shape.mixer, {m.layout(), n, c, m.norm_eps, shape.device});
    embed_ = declare_table(params_, "embed.weight", vocab_, m);
    shape_.ways = mixer_->most_ways();
    work_ = std::make_unique<Workspace<T>>(shape_, plan_);
    for (int l = 1; l <= this->sublayers() + 1; ++l) {
        const std::string& site = this->layout().name(l);
        shape_.ways = mixer_->ways(l);
        norms_.declare_site(plan_, params_, site, shape_.ways);
        if (l > this->sublayers()) break;
        sublayers_.push_back(
            make_sublayer<T>(this->layout().kind(l), site, shape_, *work_, plan_, params_));
    }
    head_weight_ = m.tied_head ? embed_ : declare_table(params_, "head.weight", vocab_, m);
    mixer_->declare(plan_, params_);
    tokens_ = plan_.saved<std::int32_t>("tokens", {{'N', n}});
    targets_ = plan_.saved<std::int32_t>("targets", {{'N', n}});
    overflow_ = plan_.saved<double>("overflow", {{'S', 1}});
    norms_.declare_scratch(plan_);
    head_ = Head<T>(plan_, m.tied_head ? "tied_head.weight" : "head.weight", head_weight_, n,
                    shape.head_tokens);
}

template <class T>
void Transformer<T>::allocate(std::uint64_t seed) {
    params_.allocate(seed);
    frame_ = make_frame();
}

template <class T>
std::unique_ptr<Frame> Transformer<T>::make_frame() {
    auto frame = std::make_unique<Frame>(plan_, params_);
    work_->prepare(*frame);
    return frame;
}

template <class T>
std::vector<ParamId> Transformer<T>::weights_at(int l) const {
    if (l == 0) return {embed_};
    if (l <= this->sublayers()) return sublayers_[static_cast<std::size_t>(l - 1)]->weights();
    return {norms_.gain(l), head_weight_};
}

double train_flops_per_token(const ModelConfig& m, Index vocab, Index mixer_params) {
    const Layout layout = m.layout();
    double weights = static_cast<double>(vocab * m.width + mixer_params), further = 0;
    for (int l = 1; l <= layout.sublayers(); ++l) {
        const SublayerCosts costs = find_sublayer(layout.kind(l)).costs(m);
        for (const MatrixProduct& p : costs.products) weights += p.weights();
        further += costs.further;
    }
    return 6 * weights + further;
}

std::unique_ptr<Model<float>> make_model(const TransformerShape& shape,
                                         const std::string& precision) {
    if (precision == "fp32") return std::make_unique<Transformer<float>>(shape);
    if (precision == "bf16") return std::make_unique<Transformer<Bf16>>(shape);
    throw UsageError(fmt::format("train.precision={}: use fp32 or bf16", precision));
}

template class Transformer<float>;
template class Transformer<double>;
template class Transformer<Bf16>;

}  // namespace plumb
