// copy, mqar, khop, modadd: deterministic answers, so the optimal loss is 0.
#include "data/tasks.h"

#include <numeric>

namespace plumb {
namespace {

void need(bool ok, const char* key, long value, const std::string& what) {
    if (!ok) throw UsageError(fmt::format("data.{}={}: {}", key, value, what));
}

void need_context(const char* task, Index context, Index least) {
    if (context < least)
        throw UsageError(fmt::format(
            "model.context={} is too short for data.task={}: type model.context={} or more, or "
            "smaller task options (`plumb list tasks`)",
            context, task, least));
}

std::vector<std::int32_t> numbers(Index n) {
    std::vector<std::int32_t> list(static_cast<std::size_t>(n));
    std::iota(list.begin(), list.end(), 0);
    return list;
}

long vocab_of(const DataConfig& config, long least) {
    const long vocab = config.options.integer("task_vocab");
    need(vocab >= least, "task_vocab", vocab, fmt::format("must be at least {}", least));
    return vocab;
}

// Symbols 0..V-1, SEP = V. With n = T/2: x_1..x_n SEP x_1..x_n is 2n+1 symbols, inputs 0..2n-1.
Task make_copy(const DataConfig& config, Index context) {
    need_context("copy", context, 2);
    const Index n_symbols = config.options.integer("task_vocab"), n = context / 2;
    return {"copy", n_symbols + 1,
            fmt::format("{} of {} symbols, SEP, the same again", n, n_symbols),
            [=](Draws& draws, TaskRow row) {
                row.put(n, static_cast<std::int32_t>(n_symbols), false);
                for (Index i = 0; i < n; ++i) {
                    const std::int32_t x = draws.below(n_symbols);
                    row.put(i, x, false);
                    row.put(n + 1 + i, x, true);
                }
            }};
}

// Zoology's multi-query associative recall (Arora et al. 2023, arXiv:2312.04927), with queries
// drawn uniformly from the pairs, with repetition, until the context is full.
Task make_mqar(const DataConfig& config, Index context) {
    const Index vocab = vocab_of(config, 4), n_keys = vocab / 2, n_values = vocab - n_keys;
    const Index n_pairs = config.options.integer("task_pairs");
    need(n_pairs <= n_keys, "task_pairs", n_pairs,
         fmt::format("must be 1 to {}, the number of keys (half of data.task_vocab={})", n_keys,
                     vocab));
    need_context("mqar", context, 2 * n_pairs + 1);
    return {
        "mqar", vocab,
        fmt::format("{} pairs of {} keys and {} values, then queries", n_pairs, n_keys, n_values),
        [=](Draws& draws, TaskRow row) {
            auto keys = numbers(n_keys);
            draws.shuffle(keys);
            std::vector<std::int32_t> values;
            Index i = 0;
            for (Index p = 0; p < n_pairs; ++p) {
                const auto value = static_cast<std::int32_t>(n_keys + draws.below(n_values));
                values.push_back(value);
                row.put(i++, keys[static_cast<std::size_t>(p)], false);
                row.put(i++, value, false);
            }
            while (i + 1 <= context) {
                const auto p = static_cast<std::size_t>(draws.below(n_pairs));
                row.put(i++, keys[p], false);
                row.put(i++, values[p], true);
            }
        }};
}

// Symbols 0..V-1, SEP = V. f is one random cycle: order c, f(c_i) = c_{i+1}, f^k(c_i) = c_{i+k}.
Task make_khop(const DataConfig& config, Index context) {
    const Index n = vocab_of(config, 3), hops = config.options.integer("task_hops");
    need(hops < n, "task_hops", hops,
         fmt::format("must be 1 to {}, fewer than the symbols (data.task_vocab={})", n - 1, n));
    need_context("khop", context, 2 * n + 2);
    return {"khop", n + 1,
            fmt::format("f on {} symbols as pairs, SEP, then queries x f^{}(x)", n, hops),
            [=](Draws& draws, TaskRow row) {
                auto cycle = numbers(n), order = numbers(n);
                draws.shuffle(cycle);
                draws.shuffle(order);
                const auto after = [&](std::int32_t at, Index k) {
                    return cycle[static_cast<std::size_t>((at + k) % n)];
                };
                Index i = 0;
                for (const std::int32_t at : order) {
                    row.put(i++, after(at, 0), false);
                    row.put(i++, after(at, 1), false);
                }
                row.put(i++, static_cast<std::int32_t>(n), false);
                while (i + 1 <= context) {
                    const std::int32_t at = draws.below(n);
                    row.put(i++, after(at, 0), false);
                    row.put(i++, after(at, hops), true);
                }
            }};
}

// The only task whose target is not the next input: a running sum, scored at every position.
Task make_modadd(const DataConfig& config, Index) {
    const Index modulus = config.options.integer("task_modulus");
    return {"modadd", modulus, fmt::format("running sum mod {}", modulus),
            [=](Draws& draws, TaskRow row) {
                Index sum = 0;
                for (std::size_t t = 0; t < row.tokens.size(); ++t) {
                    row.tokens[t] = draws.below(modulus);
                    sum = (sum + row.tokens[t]) % modulus;
                    row.targets[t] = static_cast<std::int32_t>(sum);
                }
            }};
}

}  // namespace

TaskInfo copy_task() {
    return {"copy",
            "x1 .. xn SEP x1 .. xn, n = context / 2 random symbols; the copy is scored",
            {task_vocab_option()},
            make_copy};
}

TaskInfo mqar_task() {
    return {"mqar",
            "multi-query associative recall: k1 v1 .. kP vP, then queries k v; the v of each query "
            "is scored. Keys are the lower half of the symbols, values the upper",
            {task_vocab_option(),
             {"task_pairs", 8L, "key-value pairs of a sequence that are to be remembered",
              within(1, 1 << 24)}},
            make_mqar};
}

TaskInfo khop_task() {
    return {"khop",
            "k-hop pointer chasing: x f(x) for all x in random order, SEP, then queries x f^k(x); "
            "f^k(x) is scored. f is one random cycle through all symbols, so no hop is idle",
            {task_vocab_option(),
             {"task_hops", 2L, "pointers k to follow one after the other", within(1, 1 << 24)}},
            make_khop};
}

TaskInfo modadd_task() {
    return {"modadd",
            "random digits x1 x2 ..; the target at every position t is x1 + .. + xt mod p",
            {{"task_modulus", 23L, "modulus p of the sums a + b mod p", within(2, kMostSymbols)}},
            make_modadd};
}

}  // namespace plumb
