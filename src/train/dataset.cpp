#include "train/dataset.h"

#include "train/tasks.h"
#include "train/token_files.h"

#include <charconv>

namespace plumb {

std::string Dataset::decode(std::span<const std::int32_t> tokens) const {
    std::string text;
    for (const std::int32_t token : tokens)
        text += fmt::format("{}{}", text.empty() ? "" : " ", token);
    return text;
}

std::vector<std::int32_t> Dataset::encode(std::string_view text) const {
    constexpr std::string_view kBlank = " \t\r\n";
    std::vector<std::int32_t> tokens;
    for (auto i = text.find_first_not_of(kBlank); i != text.npos;
         i = text.find_first_not_of(kBlank, i)) {
        const auto end = std::min(text.find_first_of(kBlank, i), text.size());
        const std::string_view word = text.substr(i, end - i);
        std::int32_t token = -1;
        const auto [stop, error] = std::from_chars(word.begin(), word.end(), token);
        if (error != std::errc{} || stop != word.end() || token < 0 || token >= vocab())
            throw UsageError(
                fmt::format("'{}' is not a token: this data has no tokenizer, so a text is "
                            "numbers from 0 to {} separated by blanks, for example \"0 1 {}\"",
                            word, vocab() - 1, vocab() - 1));
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

std::unique_ptr<Dataset> open_dataset(const DataConfig& config, Index context) {
    if (context < 1) throw UsageError(fmt::format("model.context={} must be >= 1", context));
    if (config.path.empty() == config.task.empty())
        throw UsageError(fmt::format(
            "{}; type data.path=DIR for a folder made by `plumb data prepare austen --out DIR`, "
            "or data.task=markov for a built-in task (`plumb list tasks`)",
            config.path.empty() ? "no data: neither data.path nor data.task is set"
                                : "data.path and data.task are both set"));
    check_task_options(config);
    return config.path.empty() ? open_task(config, context)
                               : open_token_files(config.path, context);
}

}  // namespace plumb
