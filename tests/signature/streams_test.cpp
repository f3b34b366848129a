// Every random stream of training: data, dropout, initial values, sampling.
#include "catch.h"
#include "core/rng.h"
#include "model/transformer.h"
#include "ops/dropout.h"
#include "signature/golden.h"
#include "signature/settings.h"
#include "support/run_program.h"

#include <map>

using namespace plumb;
using namespace plumb::test;

namespace {

std::uint64_t hash_of(const std::vector<std::int32_t>& numbers) {
    std::string text;
    for (const std::int32_t x : numbers) text += std::to_string(x) + " ";
    return hash_name(text);
}

// Tokens and targets of a batch of 3 sequences.
template <class Draw>
std::uint64_t batch_hash(Index context, Draw&& draw) {
    std::vector<std::int32_t> numbers(static_cast<std::size_t>(6 * context));
    const Shape shape{{'B', 3}, {'T', context}};
    draw(View<std::int32_t>{numbers.data(), shape, Device::cpu},
         View<std::int32_t>{numbers.data() + 3 * context, shape, Device::cpu});
    return hash_of(numbers);
}

void add_data(Golden& golden, const std::string& name, const Dataset& data, Index context) {
    for (const auto& [seed, index] :
         std::vector<std::pair<std::uint64_t, std::uint64_t>>{{1, 0}, {1, 1}, {2, 0}})
        golden.add(fmt::format("{} training, seed {}, batch {}", name, seed, index),
                   batch_hash(context, [&, s = seed, i = index](auto tokens, auto targets) {
                       data.train_batch(s, i, tokens, targets);
                   }));
    for (const std::uint64_t index : {0, 1})
        golden.add(fmt::format("{} validation, batch {}", name, index),
                   batch_hash(context, [&](auto tokens, auto targets) {
                       data.val_batch(index, tokens, targets);
                   }));
}

void add_token_files(Golden& golden) {
    const TempFolder folder;
    for (const auto& [file, count] : {std::pair{"train.bin", 5000}, {"val.bin", 700}}) {
        std::string bytes;
        for (int i = 0; i < count; ++i) {
            const int token = i * i % 251;
            bytes += static_cast<char>(token);
            bytes += '\0';
        }
        spill(folder / file, bytes);
    }
    DataConfig config;
    config.path = folder.path().string();
    add_data(golden, "token files", *open_dataset(config, 24), 24);
}

void add_dropout(Golden& golden) {
    golden.add("dropout stream of pass 3 at layer.2.mlp.out", dropout_stream(3, "layer.2.mlp.out"));
    std::vector<double> factors(kDropoutBlock);
    dropout_factors<double>({.p = 0.25, .seed = 1, .stream = 7}, 5, 2, factors.data());
    std::vector<std::int32_t> kept;
    for (const double f : factors) kept.push_back(f > 0);
    golden.add("dropout mask of row 5, block 2", hash_of(kept));
}

// By kind of parameter, all depths one after the other: sum, sum of squares, and a sum weighted by
// the place, which a swap changes.
void add_initial_values(Golden& golden, const SignatureCase& c, Group group) {
    Transformer<double> model(c.shape(*c.open()));
    model.allocate(1);
    struct Sums {
        double plain = 0, square = 0, placed = 0, count = 0;
    };
    std::map<std::string, Sums> kinds;
    for (const ParamSpec& spec : model.params().specs()) {
        if (spec.group != group) continue;
        const View<double> x = model.params().value(model.params().find(spec.name));
        Sums& s = kinds[spec.name.substr(
            spec.name.find("mixer.") == std::string::npos ? 0 : spec.name.find("mixer."))];
        for (Index i = 0; i < x.count(); ++i) {
            s.plain += x.data[i], s.square += x.data[i] * x.data[i];
            s.placed += ++s.count * x.data[i];
        }
    }
    for (const auto& [kind, s] : kinds)
        golden.add(c.name + ", " + kind, {s.count, s.plain, s.square, s.placed});
}

}  // namespace

TEST_CASE("signature: order of the data, masks of dropout", "[signature]") {
    Golden golden;
    for (const TaskInfo& task : tasks()) {
        DataConfig config;
        config.task = task.name;
        add_data(golden, task.name, *open_dataset(config, 72), 72);
    }
    add_token_files(golden);
    add_dropout(golden);
    golden.check("streams", 0);
}

TEST_CASE("signature: initial values", "[signature]") {
    Golden golden;
    add_initial_values(golden, other_cases().back(), Group::model);
    for (const SignatureCase& c : mixer_cases()) add_initial_values(golden, c, Group::mixer);
    golden.check("initial values", 1e-9);
}

TEST_CASE("signature: a sampled text", "[signature]") {
    const TempFolder temp;
    const std::string run = temp / "run";
    REQUIRE(run_plumb(tiny_run(run)).code == 0);
    const Outcome o = run_plumb({"generate", run, "--prompt", "1 2", "--tokens", "12", "--seed",
                                 "5", "--temperature", "1.5", "--samples", "2"});
    INFO(o.out);
    REQUIRE(o.code == 0);
    Golden golden;
    std::istringstream lines(o.out);
    for (int i = 0; i < 3; ++i) {
        std::string line;
        std::getline(lines, line);
        if (line != "---") golden.add_text(fmt::format("sample {}", i / 2), line);
    }
    golden.check("generate", 0);
}
