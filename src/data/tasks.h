// Built-in tasks: data without files, drawn as it is needed. Their optimum is known (0 but for
// markov, whose entropy rate is computed), so a model that cannot learn them is broken.
//
// Training draws from the Philox stream "data.NAME.train" of the seed, validation from
// "data.NAME.val" of seed 0, a test from "data.NAME.test" of seed 0; the streams are disjoint. The
// validation and the test split are the first kTaskValSequences sequences.
#pragma once

#include "data/dataset.h"

#include <functional>

namespace plumb {

inline constexpr Index kTaskValSequences = 1024;
inline constexpr long kMostSymbols = 65535;

struct Task;

// One more task: its file or a place in one of these (task_*.cpp, markov.cpp), which ends with its
// row.
struct TaskInfo {
    std::string name;
    std::string summary;          // what a sequence is and what is scored
    std::vector<Option> options;  // keys of [data] that it reads
    // Throws UsageError for options that do not go together and a context too short for them.
    Task (*make)(const DataConfig&, Index context);
};

// The table of contents.
const std::vector<TaskInfo>& tasks();

// Throws UsageError for an unknown task, options out of range and a context too short for them.
std::unique_ptr<Dataset> open_task(const DataConfig& config, Index context,
                                   EvalSplit split = EvalSplit::val);

// ---- For the implementations (task_*.cpp) ------------------------------------------------------

class CounterRng;

// The random numbers of one sequence, in order.
class Draws {
public:
    Draws(const CounterRng& rng, std::uint64_t sequence);
    std::int32_t below(Index n);                  // uniform in [0, n)
    double uniform();                             // [0, 1)
    void shuffle(std::span<std::int32_t> items);  // Fisher-Yates, uniform over all orders

private:
    std::uint64_t next();
    const CounterRng& rng_;
    std::uint64_t at_, end_;
};

// One sequence: inputs (T) and targets (T, -1 where not scored).
struct TaskRow {
    std::span<std::int32_t> tokens, targets;
    // Symbol i of the sequence, i = 0..T: input i, and if scored the target of input i-1.
    void put(Index i, std::int32_t symbol, bool scored);
};

struct Task {
    std::string name;
    Index vocab;
    std::string layout;  // for describe()
    std::function<void(Draws&, TaskRow)> draw;
    std::optional<double> optimal_loss = std::nullopt;
};

Option task_vocab_option();

TaskInfo copy_task();
TaskInfo mqar_task();
TaskInfo khop_task();
TaskInfo modadd_task();
TaskInfo markov_task();

}  // namespace plumb
