#include "data/tasks.h"

#include "core/field_ref.h"
#include "core/rng.h"
#include "core/row_table.h"
#include "core/sha256.h"

#include <algorithm>

namespace plumb {

// ---- The table ---------------------------------------------------------------------------------

const std::vector<TaskInfo>& tasks() {
    static const std::vector<TaskInfo> table{copy_task(), mqar_task(), khop_task(), modadd_task(),
                                             markov_task()};
    return table;
}

const std::vector<Option>& task_options() {
    static const std::vector<Option> all = options_of(tasks(), "task");
    return all;
}

const Choices& task_choices() {
    static const Choices names = [] {
        Choices all = row_names(tasks());
        all.insert(all.begin(), "");
        return all;
    }();
    return names;
}

Option task_vocab_option() {
    return {"task_vocab", 32L, "number of different symbols", within(2, kMostSymbols)};
}

// ---- Drawing -----------------------------------------------------------------------------------

namespace {
constexpr std::uint64_t kDrawsPerSequence = std::uint64_t{1} << 24;
}

Draws::Draws(const CounterRng& rng, std::uint64_t sequence)
    : rng_(rng), at_(sequence * kDrawsPerSequence), end_(at_ + kDrawsPerSequence) {}

std::uint64_t Draws::next() {
    require(at_ < end_, "a task sequence draws more numbers than its share of the stream");
    return at_++;
}

std::int32_t Draws::below(Index n) {
    return static_cast<std::int32_t>(rng_.below(next(), static_cast<std::uint64_t>(n)));
}

double Draws::uniform() { return rng_.uniform(next()); }

void Draws::shuffle(std::span<std::int32_t> items) {
    for (std::size_t i = items.size(); i > 1; --i)
        std::swap(items[i - 1], items[static_cast<std::size_t>(below(static_cast<Index>(i)))]);
}

void TaskRow::put(Index i, std::int32_t symbol, bool scored) {
    const auto at = static_cast<std::size_t>(i);
    if (at < tokens.size()) tokens[at] = symbol;
    if (scored && at > 0) targets[at - 1] = symbol;
}

// ---- The dataset -------------------------------------------------------------------------------

namespace {

class TaskData : public Dataset {
public:
    TaskData(Task task, Index context, EvalSplit split)
        : task_(std::move(task)),
          context_(context),
          train_stream_("data." + task_.name + ".train"),
          val_stream_("data." + task_.name + (split == EvalSplit::test ? ".test" : ".val")) {}

    Index vocab() const override { return task_.vocab; }
    std::optional<double> optimal_loss() const override { return task_.optimal_loss; }

    void train_batch(std::uint64_t seed, std::uint64_t index, View<std::int32_t> tokens,
                     View<std::int32_t> targets) const override {
        fill(CounterRng(seed, train_stream_), index, tokens, targets);
    }
    void val_batch(std::uint64_t index, View<std::int32_t> tokens,
                   View<std::int32_t> targets) const override {
        fill(CounterRng(0, val_stream_), index, tokens, targets);
    }

    Index val_sequences() const override { return kTaskValSequences; }

    std::string describe() const override {
        std::string text = fmt::format("{}: {}; vocabulary {}", task_.name, task_.layout, vocab());
        if (task_.optimal_loss) text += fmt::format("; optimal loss {:.6f}", *task_.optimal_loss);
        return text;
    }
    std::string fingerprint() const override {
        return sha256_hex(fmt::format("{}; context {}", describe(), context_));
    }

private:
    void fill(const CounterRng& rng, std::uint64_t index, View<std::int32_t> tokens,
              View<std::int32_t> targets) const {
        check_batch(tokens, targets, context_);
        const auto n_rows = static_cast<std::uint64_t>(tokens.extent(0));
        const auto width = static_cast<std::size_t>(context_);
        for (std::uint64_t b = 0; b < n_rows; ++b) {
            const auto row = static_cast<Index>(b);
            const TaskRow out{{tokens.row(row), width}, {targets.row(row), width}};
            std::fill(out.tokens.begin(), out.tokens.end(), 0);
            std::fill(out.targets.begin(), out.targets.end(), -1);
            Draws draws(rng, index * n_rows + b);
            task_.draw(draws, out);
        }
    }

    Task task_;
    Index context_;
    std::string train_stream_, val_stream_;  // of random numbers
};

}  // namespace

std::unique_ptr<Dataset> open_task(const DataConfig& config, Index context, EvalSplit split) {
    const TaskInfo& task = find_row(tasks(), config.task, "task");
    check_ranges("data", config);
    return std::make_unique<TaskData>(task.make(config, context), context, split);
}

}  // namespace plumb
