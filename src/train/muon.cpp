#include "train/muon.h"

#include "ops/muon.h"
#include "train/adamw.h"

#include <algorithm>

namespace plumb {
namespace {

// At its peak, of the matrices.
double muon_rate(const TrainConfig& train) {
    const double own = train.options.number("muon_lr");
    return own > 0 ? own : train.lr;
}

class Muon final : public Optimizer {
public:
    explicit Muon(const OptimizerSetup& setup)
        : Optimizer(setup.device),
          others_(setup, state_, [](const ParamSpec& s) { return !is_matrix_of_body(s); }),
          momentum_(setup.train.options.number("muon_momentum")),
          weight_decay_(setup.train.weight_decay),
          rate_(muon_rate(setup.train) / setup.train.lr) {
        for (const ParamSpec& s : setup.params) {
            if (!is_matrix_of_body(s)) continue;
            const Index columns = s.shape.extent(1), momentum = state_.declare("momentum", s);
            Index begin = 0;  // numbers of the weight before this matrix
            for (const Index rows : matrix_rows(s)) {
                matrices_.push_back(
                    {{{'O', rows}, {'I', columns}}, s.offset + begin, momentum + begin, s.decay});
                begin += rows * columns;
                scratch_size_ = std::max(scratch_size_, muon_scratch(rows, columns));
                flops_ += muon_flops(rows, columns);
            }
        }
    }

    void allocate() override {
        Optimizer::allocate();
        scratch_ = DeviceArray<float>(scratch_size_, device_);
        square_ = DeviceArray<double>(1, device_);
    }

    void step(const Context& ctx, ParamStore<float>& params, const OptimizerStep& s) override {
        others_.step(ctx, params, state_, s);
        for (const Matrix& m : matrices_) {
            muon<float>(ctx, {rate_ * s.lr, momentum_, m.decay ? weight_decay_ : 0.0, s.grad_scale},
                        m.in(params.flat_values()), m.in(params.flat_grads()),
                        state_.view(m.momentum, m.shape), scratch_.view(), square_.view());
        }
    }

    double bytes() const override {
        return Optimizer::bytes() + sizeof(float) * static_cast<double>(scratch_size_);
    }
    double flops() const override { return flops_; }

private:
    struct Matrix {
        Shape shape;     // (O, I)
        Index offset;    // into the flat arrays
        Index momentum;  // into the state
        bool decay;
        View<float> in(const View<float>& flat) const {
            return {flat.data + offset, shape, flat.device};
        }
    };
    AdamWPart others_;
    std::vector<Matrix> matrices_;
    double momentum_, weight_decay_;
    double rate_;                 // of the matrices, as a share of the schedule's
    DeviceArray<float> scratch_;  // of one matrix at a time
    DeviceArray<double> square_;
    Index scratch_size_ = 0;
    double flops_ = 0;
};

}  // namespace

bool is_matrix_of_body(const ParamSpec& s) {
    return s.group == Group::model && s.shape.rank() == 2 && s.shape.name(0) != 'V';
}

std::vector<Option> muon_options() {
    return {{"muon_lr", 0.0,
             "learning rate of the matrices that Muon takes, at its peak; train.lr is then that of "
             "all else (0: train.lr too)",
             within(0, 1e6)},
            {"muon_momentum", 0.95, "Muon's memory of the gradient", within(0, 0.999999)}};
}

std::vector<Index> matrix_rows(const ParamSpec& s) {
    return s.stacked.empty() ? std::vector<Index>{s.shape.extent(0)} : s.stacked;
}

std::unique_ptr<Optimizer> make_muon(const OptimizerSetup& setup) {
    return std::make_unique<Muon>(setup);
}

}  // namespace plumb
