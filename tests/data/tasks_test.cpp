#include "data/tasks.h"

#include "catch.h"
#include "core/rng.h"
#include "data/markov.h"

#include <algorithm>
#include <map>
#include <set>

using namespace plumb;

namespace {

struct Row {
    std::vector<std::int32_t> tokens, targets;
};

DataConfig task_config(const std::string& name) {
    DataConfig config;
    config.task = name;
    return config;
}

enum class Split { train, val };

// Rows of micro-batches 0 .. n_batches-1, four rows each.
std::vector<Row> rows_of(const Dataset& data, Index context, Split split,
                         std::uint64_t n_batches = 25, std::uint64_t seed = 1) {
    constexpr Index kRows = 4;
    std::vector<std::int32_t> tokens(static_cast<std::size_t>(kRows * context), -7);
    std::vector<std::int32_t> targets = tokens;
    const Shape shape{{'B', kRows}, {'T', context}};
    std::vector<Row> rows;
    for (std::uint64_t index = 0; index < n_batches; ++index) {
        if (split == Split::train)
            data.train_batch(seed, index, {tokens.data(), shape}, {targets.data(), shape});
        else
            data.val_batch(index, {tokens.data(), shape}, {targets.data(), shape});
        for (Index b = 0; b < kRows; ++b)
            rows.push_back({{tokens.begin() + b * context, tokens.begin() + (b + 1) * context},
                            {targets.begin() + b * context, targets.begin() + (b + 1) * context}});
    }
    return rows;
}

std::vector<Row> all_rows(const DataConfig& config, Index context) {
    const auto data = open_dataset(config, context);
    auto rows = rows_of(*data, context, Split::train);
    for (Row& row : rows_of(*data, context, Split::val)) rows.push_back(std::move(row));
    return rows;
}

std::size_t n_scored(const Row& row) {
    return row.targets.size() -
           static_cast<std::size_t>(std::count(row.targets.begin(), row.targets.end(), -1));
}

}  // namespace

TEST_CASE("tasks: pure functions of seed and index, train and validation apart, tokens in range") {
    for (const TaskInfo& info : tasks()) {
        INFO(info.name);
        const Index context = 90;
        const auto data = open_dataset(task_config(info.name), context);
        const auto same = [](const Row& a, const Row& b) {
            return a.tokens == b.tokens && a.targets == b.targets;
        };
        const auto train = rows_of(*data, context, Split::train);
        const auto again =
            rows_of(*open_dataset(task_config(info.name), context), context, Split::train);
        CHECK(std::equal(train.begin(), train.end(), again.begin(), same));
        const auto other = rows_of(*data, context, Split::train, 25, 2);
        const auto zero = rows_of(*data, context, Split::train, 25, 0);
        const auto val = rows_of(*data, context, Split::val);
        std::set<std::vector<std::int32_t>> seen;
        for (const auto* rows : {&train, &other, &zero, &val})
            for (const Row& row : *rows) {
                seen.insert(row.tokens);
                CHECK(n_scored(row) > 0);
                for (std::size_t t = 0; t < row.tokens.size(); ++t) {
                    REQUIRE((row.tokens[t] >= 0 && row.tokens[t] < data->vocab()));
                    REQUIRE((row.targets[t] >= -1 && row.targets[t] < data->vocab()));
                    // Where it is scored, the target is the next input (modadd apart).
                    if (info.name != "modadd" && row.targets[t] >= 0 && t + 1 < row.tokens.size())
                        REQUIRE(row.targets[t] == row.tokens[t + 1]);
                }
            }
        CHECK(seen.size() == 400);  // all sequences differ
        CHECK(data->fingerprint().size() == 64);
        CHECK(data->bytes_per_token() == 0);
        CHECK(data->optimal_loss().has_value() == (info.name == "markov"));
    }
}

// ---- Oracles: every scored target recomputed from the inputs before it alone
// ---------------------

TEST_CASE("copy is solved by copying") {
    for (const Index context : {2, 20, 21})
        for (const Row& row : all_rows(task_config("copy"), context)) {
            const auto n = static_cast<std::size_t>(context / 2);
            CHECK(row.tokens[n] == 32);  // SEP
            for (std::size_t t = 0; t < row.tokens.size(); ++t)
                REQUIRE(row.targets[t] == (t >= n && t < 2 * n ? row.tokens[t - n] : -1));
        }
}

TEST_CASE("mqar is solved by looking up the pair") {
    for (const Index context : {17, 60, 61})
        for (const Row& row : all_rows(task_config("mqar"), context)) {
            std::map<std::int32_t, std::int32_t> memory;
            for (std::size_t t = 0; t < 16; t += 2) {
                CHECK((row.tokens[t] < 16 && row.tokens[t + 1] >= 16));
                CHECK(memory.emplace(row.tokens[t], row.tokens[t + 1]).second);
            }
            for (std::size_t t = 0; t < row.tokens.size(); ++t) {
                const bool query = t >= 16 && t % 2 == 0;
                REQUIRE(row.targets[t] == (query ? memory.at(row.tokens[t]) : -1));
            }
        }
}

TEST_CASE("khop is solved by following the pointers") {
    const long hops = GENERATE(1, 2, 3, 5);
    DataConfig config = task_config("khop");
    config.options.set("task_vocab", 6L);
    config.options.set("task_hops", static_cast<long>(hops));
    for (const Index context : {14, 40, 41})
        for (const Row& row : all_rows(config, context)) {
            std::map<std::int32_t, std::int32_t> f;
            for (std::size_t t = 0; t < 12; t += 2) f[row.tokens[t]] = row.tokens[t + 1];
            REQUIRE(f.size() == 6);
            CHECK(row.tokens[12] == 6);  // SEP
            for (std::size_t t = 0; t < row.tokens.size(); ++t) {
                std::int32_t answer = -1;
                if (t > 12 && t % 2 == 1) {
                    answer = row.tokens[t];
                    for (long k = 0; k < hops; ++k) answer = f.at(answer);
                    CHECK(answer != row.tokens[t]);
                }
                REQUIRE(row.targets[t] == answer);
            }
        }
}

TEST_CASE("modadd is solved by adding up") {
    for (const Row& row : all_rows(task_config("modadd"), 33)) {
        std::int32_t sum = 0;
        for (std::size_t t = 0; t < row.tokens.size(); ++t) {
            sum = (sum + row.tokens[t]) % 23;
            REQUIRE(row.targets[t] == sum);
        }
    }
}

// ---- markov ------------------------------------------------------------------------------------

TEST_CASE("Markov chain: rows sum to 1, the stationary distribution is one, the entropy is exact") {
    for (const auto& [vocab, order] : {std::pair<Index, Index>{2, 1}, {5, 3}, {32, 1}, {32, 2}}) {
        const MarkovChain chain(vocab, order);
        std::vector<double> after(static_cast<std::size_t>(chain.n_states()), 0.0);
        double total = 0;
        for (Index s = 0; s < chain.n_states(); ++s) {
            double row = 0;
            for (Index y = 0; y < vocab; ++y) {
                row += chain.probability(s, y);
                after[static_cast<std::size_t>(chain.next_state(s, y))] +=
                    chain.stationary(s) * chain.probability(s, y);
            }
            CHECK(std::abs(row - 1) <= 1e-13);
            total += chain.stationary(s);
        }
        CHECK(std::abs(total - 1) <= 1e-12);
        for (Index s = 0; s < chain.n_states(); ++s)
            CHECK(std::abs(after[static_cast<std::size_t>(s)] - chain.stationary(s)) <= 1e-12);
        CHECK((chain.entropy_rate() > 0 && chain.entropy_rate() < std::log(double(vocab))));
    }
    // Two states by hand: pi = (b, a) / (a + b) with a = p(1|0), b = p(0|1).
    const MarkovChain coin(2, 1);
    const double a = coin.probability(0, 1), b = coin.probability(1, 0);
    const auto h = [](double p) { return -p * std::log(p) - (1 - p) * std::log(1 - p); };
    CHECK(std::abs(coin.stationary(0) - b / (a + b)) <= 1e-14);
    CHECK(std::abs(coin.entropy_rate() - (b * h(a) + a * h(b)) / (a + b)) <= 1e-14);
}

TEST_CASE("markov sequences follow the chain and cost its entropy rate") {
    const long order = GENERATE(1, 2);
    DataConfig config = task_config("markov");
    config.options.set("task_vocab", 6L);
    config.options.set("task_order", static_cast<long>(order));
    const Index context = 64;
    const auto data = open_dataset(config, context);
    const MarkovChain chain(6, order);
    REQUIRE(data->optimal_loss());
    CHECK(*data->optimal_loss() == chain.entropy_rate());

    const Split split = GENERATE(Split::train, Split::val);
    const auto rows = rows_of(*data, context, split, 2000);
    std::vector<double> visits(static_cast<std::size_t>(chain.n_states()), 0.0);
    std::vector<double> moves(visits.size() * 6, 0.0);
    double sum = 0, square = 0, n = 0, first_symbol_zero = 0;
    for (const Row& row : rows) {
        first_symbol_zero += row.tokens[0] == 0;
        Index state = 0;
        for (Index t = 0; t < context; ++t) {
            const auto i = static_cast<std::size_t>(t);
            state = chain.next_state(state, row.tokens[i]);
            REQUIRE((row.targets[i] >= 0) == (t + 1 >= order));
            if (row.targets[i] < 0) continue;
            const double cost = -std::log(chain.probability(state, row.targets[i]));
            sum += cost, square += cost * cost, n += 1;
            visits[static_cast<std::size_t>(state)] += 1;
            moves[static_cast<std::size_t>(state * 6 + row.targets[i])] += 1;
        }
    }
    // -log p under the true chain: mean within 5 standard errors (x2 for correlated neighbours).
    const double mean = sum / n, deviation = std::sqrt(square / n - mean * mean);
    CHECK(std::abs(mean - chain.entropy_rate()) <= 10 * deviation / std::sqrt(n));
    for (Index s = 0; s < chain.n_states(); ++s) {
        const double count = visits[static_cast<std::size_t>(s)];
        for (Index y = 0; y < 6; ++y) {
            const double p = chain.probability(s, y);
            const double tolerance = 5 * std::sqrt(p * (1 - p) * count) + 1;
            CHECK(std::abs(moves[static_cast<std::size_t>(s * 6 + y)] - p * count) <= tolerance);
        }
    }
    // The first symbol is stationary already.
    double p0 = 0;
    for (Index s = 0; s < chain.n_states() / 6; ++s) p0 += chain.stationary(s);
    const auto n_rows = static_cast<double>(rows.size());
    CHECK(std::abs(first_symbol_zero - p0 * n_rows) <= 5 * std::sqrt(p0 * (1 - p0) * n_rows) + 1);
}

// ---- Errors ------------------------------------------------------------------------------------

TEST_CASE("task errors name the option and the way out") {
    const auto refuse = [](const std::string& task, const char* field, long value, Index context,
                           const std::string& part) {
        DataConfig config = task_config(task);
        if (field) config.options.set(field, value);
        INFO(task << " " << part);
        REQUIRE_THROWS_AS(open_dataset(config, context), UsageError);
        REQUIRE_THROWS_WITH(open_dataset(config, context), contains_text(part));
    };
    REQUIRE_THROWS_WITH(open_dataset(task_config("kop"), 64), contains_text("did you mean 'khop'"));
    refuse("copy", nullptr, 0, 1, "model.context=2");
    refuse("copy", "task_vocab", 1, 64, "data.task_vocab=1");
    refuse("mqar", "task_pairs", 17, 64, "1 to 16");
    refuse("mqar", nullptr, 0, 16, "model.context=17");
    refuse("khop", nullptr, 0, 65, "model.context=66");
    refuse("khop", "task_hops", 32, 128, "data.task_hops=32");
    refuse("modadd", "task_modulus", 1, 64, "data.task_modulus=1");
    refuse("markov", "task_order", 3, 64, "at most 1024");
    refuse("markov", "task_order", 0, 64, "data.task_order=0");
    refuse("copy", "task_hops", 3, 64, "data.task_hops=3 is an option of khop");
}

TEST_CASE("Draws of neighbouring sequences do not overlap and shuffle is a permutation") {
    const CounterRng rng(9, "test");
    Draws first(rng, 0), second(rng, 1);
    std::set<double> seen;
    for (int i = 0; i < 1000; ++i) seen.insert(first.uniform()), seen.insert(second.uniform());
    CHECK(seen.size() == 2000);
    std::map<std::vector<std::int32_t>, int> orders;
    for (int i = 0; i < 6000; ++i) {
        std::vector<std::int32_t> items{0, 1, 2};
        first.shuffle(items);
        ++orders[items];
    }
    CHECK(orders.size() == 6);
    for (const auto& [order, count] : orders) CHECK(std::abs(count - 1000) <= 150);  // 5 sigma
}
