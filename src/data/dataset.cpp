#include "data/dataset.h"

#include "core/field_ref.h"
#include "core/text.h"
#include "data/tasks.h"
#include "data/token_files.h"

#include <nlohmann/json.hpp>

#include <charconv>

namespace plumb {

std::map<std::string, std::string> Dataset::meta_files() const {
    const nlohmann::ordered_json json{
        {"schema", 1}, {"name", describe()}, {"tokenizer", "none"}, {"vocab", vocab()}};
    return {
        {"meta.json", json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n"}};
}

std::string Dataset::decode(std::span<const std::int32_t> tokens) const {
    return decode_numbers(tokens);
}

std::vector<std::int32_t> Dataset::encode(std::string_view text) const {
    return encode_numbers(text, vocab());
}

std::string decode_numbers(std::span<const std::int32_t> tokens) {
    std::string text;
    for (const std::int32_t token : tokens)
        text += fmt::format("{}{}", text.empty() ? "" : " ", token);
    return text;
}

std::vector<std::int32_t> encode_numbers(std::string_view text, Index vocab) {
    constexpr std::string_view kBlank = " \t\r\n";
    std::vector<std::int32_t> tokens;
    for (auto i = text.find_first_not_of(kBlank); i != text.npos;
         i = text.find_first_not_of(kBlank, i)) {
        const auto end = std::min(text.find_first_of(kBlank, i), text.size());
        const std::string_view word = text.substr(i, end - i);
        std::int32_t token = -1;
        const auto [stop, error] = std::from_chars(word.begin(), word.end(), token);
        if (error != std::errc{} || stop != word.end() || token < 0 || token >= vocab)
            throw UsageError(
                fmt::format("'{}' is not a token: this data has no tokenizer, so a text is "
                            "numbers from 0 to {} separated by blanks, for example \"0 1 {}\"",
                            word, vocab - 1, vocab - 1));
        tokens.push_back(token);
        i = end;
    }
    return tokens;
}

void Dataset::check_batch(View<std::int32_t> tokens, View<std::int32_t> targets, Index context) {
    require(tokens.device == Device::cpu && targets.device == Device::cpu,
            "batches are on the CPU");
    require(
        tokens.shape.rank() == 2 && tokens.shape == targets.shape && tokens.extent(1) == context,
        [&] {
            return fmt::format("tokens {} and targets {} must be (B, T={})", tokens.shape.text(),
                               targets.shape.text(), context);
        });
}

std::unique_ptr<Dataset> open_dataset(const DataConfig& config, Index context, EvalSplit split) {
    if (context < 1) throw UsageError(fmt::format("model.context={} must be >= 1", context));
    if (config.path.empty() == config.task.empty())
        throw UsageError(fmt::format(
            "{}; type data.path=DIR for a folder made by `plumb data prepare austen --out DIR`, "
            "or data.task=markov for a built-in task (`plumb list tasks`)",
            config.path.empty() ? "no data: neither data.path nor data.task is set"
                                : "data.path and data.task are both set"));
    DataConfig copy = config, defaults;
    check_placed(refs_of("data", copy), refs_of("data", defaults));
    if (config.path.empty() && (config.vocab != 0 || config.dtype != "auto"))
        throw UsageError(fmt::format("data.{} does not apply to data.task={}; leave it out",
                                     config.vocab != 0 ? "vocab" : "dtype", config.task));
    return config.path.empty() ? open_task(config, context, split)
                               : open_token_files(config, context, split);
}

void check_same_tokenizer(const Dataset& data, const std::optional<Tokenizer>& trained_with,
                          const std::string& run) {
    const auto tokenizer = data.tokenizer();
    if (tokenizer == trained_with) return;
    const auto name = [](const std::optional<Tokenizer>& t) {
        return t ? t->describe() : std::string("none");
    };
    const bool has_files = trained_with && !trained_with->files().empty();
    throw UsageError(fmt::format(
        "{} was trained with another tokenizer ({}) than that of {} ({}): the same text would be "
        "other tokens. Prepare the data with the tokenizer of the run{}",
        run, name(trained_with), data.describe(), name(tokenizer),
        has_files ? fmt::format(": plumb data prepare ... --tokenizer {}",
                                shell_quoted("gpt2:" + run + "/data"))
                  : ", from the same characters"));
}

}  // namespace plumb
