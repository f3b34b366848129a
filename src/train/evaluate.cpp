#include "train/evaluate.h"

#include "ops/cross_entropy.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

namespace plumb {

Index load_validation(Model<float>& model, const Dataset& data, Index pass, Index n_sequences) {
    const Index context = model.config().context, batch = model.tokens().count() / context;
    const Shape shape{{'B', batch}, {'T', context}};
    std::vector<std::int32_t> tokens(static_cast<std::size_t>(batch * context)),
        targets(tokens.size());
    data.val_batch(static_cast<std::uint64_t>(pass), {tokens.data(), shape},
                   {targets.data(), shape});
    const Index used = std::clamp<Index>(n_sequences - pass * batch, 0, batch);
    std::fill(targets.begin() + used * context, targets.end(), -1);
    put(model.tokens(), tokens.data());
    put(model.targets(), targets.data());
    return used;
}

Evaluation evaluate(const Context& ctx, Model<float>& model, const Dataset& data, Index n_sequences,
                    const StopFlag* stop, const std::function<void(double)>& progress) {
    Evaluation e;
    const Index wanted = std::min(n_sequences, data.val_sequences());
    double total = 0;
    for (Index pass = 0; e.sequences < wanted; ++pass) {
        stop_if(stop);
        e.sequences += load_validation(model, data, pass, wanted);
        const Index scored = n_scored(ctx, model.targets());
        total += static_cast<double>(scored) * model.forward(ctx);
        if (model.overflowed_read() > 0) total = std::numeric_limits<double>::quiet_NaN();
        e.tokens += scored;
        if (progress) progress(static_cast<double>(e.sequences) / static_cast<double>(wanted));
        if (!std::isfinite(total)) break;  // with the batch that did it still loaded
    }
    if (e.tokens > 0) e.loss = total / static_cast<double>(e.tokens);
    return e;
}

std::optional<double> bits_per_byte(const Dataset& data, double loss) {
    const double bytes = data.bytes_per_token();
    return bytes > 0 ? std::optional(loss / std::numbers::ln2 / bytes) : std::nullopt;
}

}  // namespace plumb
