#include "data/tasks.h"

#include "core/rng.h"
#include "core/sha256.h"
#include "core/text.h"

#include <algorithm>
#include <map>

namespace plumb {

// ---- The table ---------------------------------------------------------------------------------

namespace {

using MakeTask = Task (*)(const DataConfig&, Index);

struct TaskEntry {
    TaskInfo info;
    MakeTask make;
};

const std::vector<TaskEntry>& entries() {
    static const std::vector<TaskEntry> table{
        {{"copy",
          "x1 .. xn SEP x1 .. xn, n = context / 2 random symbols; the copy is scored",
          {"task_vocab"}},
         copy_task},
        {{"mqar",
          "multi-query associative recall: k1 v1 .. kP vP, then queries k v; the v of each query "
          "is scored. Keys are the lower half of the symbols, values the upper",
          {"task_vocab", "task_pairs"}},
         mqar_task},
        {{"khop",
          "k-hop pointer chasing: x f(x) for all x in random order, SEP, then queries x f^k(x); "
          "f^k(x) is scored. f is one random cycle through all symbols, so no hop is idle",
          {"task_vocab", "task_hops"}},
         khop_task},
        {{"modadd",
          "random digits x1 x2 ..; the target at every position t is x1 + .. + xt mod p",
          {"task_modulus"}},
         modadd_task},
        {{"markov",
          "a fixed Markov chain from its stationary distribution; the next symbol is scored where "
          "the last `order` are known: the lowest possible loss is its entropy rate, printed",
          {"task_vocab", "task_order"}},
         markov_task},
    };
    return table;
}

}  // namespace

const std::vector<TaskInfo>& tasks() {
    static const std::vector<TaskInfo> infos = [] {
        std::vector<TaskInfo> list;
        for (const TaskEntry& entry : entries()) list.push_back(entry.info);
        return list;
    }();
    return infos;
}

// ---- Options -----------------------------------------------------------------------------------

namespace {

struct TaskOptions {
    std::map<std::string, long> values;
    template <class T>
    void operator()(const char* name, T& value, const char*, const Field& = {}) {
        if constexpr (std::is_same_v<T, long>)
            if (std::string_view(name).starts_with("task_")) values[name] = value;
    }
};

std::map<std::string, long> task_options(DataConfig config) {
    TaskOptions options;
    config.visit(options);
    return options.values;
}

const TaskEntry& find_task(const std::string& name) {
    std::vector<std::string> names;
    for (const TaskEntry& entry : entries()) {
        if (entry.info.name == name) return entry;
        names.push_back(entry.info.name);
    }
    throw UsageError(fmt::format("no task '{}'{} (there are {})", name, did_you_mean(name, names),
                                 fmt::join(names, ", ")));
}

}  // namespace

void check_task_options(const DataConfig& config) {
    const auto defaults = task_options({});
    std::vector<std::string> known;
    if (!config.task.empty()) known = find_task(config.task).info.options;
    for (const auto& [name, value] : task_options(config))
        if (value != defaults.at(name) &&
            std::find(known.begin(), known.end(), name) == known.end())
            throw UsageError(fmt::format(
                "data.{}={} does not apply to {}; leave it out{}", name, value,
                config.task.empty() ? "token files (data.path)" : "data.task=" + config.task,
                known.empty() ? ""
                              : fmt::format(" (options: data.{})", fmt::join(known, ", data."))));
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
    return std::make_unique<TaskData>(find_task(config.task).make(config, context), context, split);
}

}  // namespace plumb
