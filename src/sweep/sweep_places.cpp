#include "sweep/sweep_places.h"

#include "core/check.h"

#include <algorithm>
#include <charconv>
#include <sstream>

namespace plumb {

std::string SweepPlace::text() const {
    return fmt::format("cores {}{}", cpu_list(cpus), gpu.empty() ? "" : ", GPU " + gpu);
}

std::vector<SweepPlace> make_places(const std::vector<LogicalCpu>& cpus, int jobs, int threads,
                                    const std::vector<std::string>& gpus) {
    const int n_gpus = static_cast<int>(gpus.size());
    if (n_gpus > 0 && jobs > n_gpus)
        throw UsageError(fmt::format(
            "-j {}: --gpus has {} places; give it more, for example --gpus 0x{}, or a smaller -j",
            jobs, n_gpus, jobs));
    if (jobs == 0)
        jobs = n_gpus > 0 ? n_gpus : std::max(1, static_cast<int>(cpus.size()) / threads);
    std::vector<SweepPlace> places;
    for (std::vector<int>& slice : core_slices(cpus, jobs))
        places.push_back({std::move(slice), n_gpus > 0 ? gpus[places.size()] : ""});
    return places;
}

std::vector<std::string> parse_gpus(const std::string& text) {
    const auto bad = [&] {
        return UsageError(fmt::format(
            "--gpus {}: use the numbers of GPUs, as in 0,1; 0,1x2 has two runs on each", text));
    };
    if (text.empty()) return {};
    std::string list = text;
    int times = 1;
    if (const std::size_t x = text.find('x'); x != std::string::npos) {
        const char* end = text.data() + text.size();
        const auto [at, error] = std::from_chars(text.data() + x + 1, end, times);
        if (error != std::errc{} || at != end || times < 1 || times > 1024) throw bad();
        list = text.substr(0, x);
    }
    std::vector<std::string> names, all;
    std::istringstream words(list);
    for (std::string word; std::getline(words, word, ',');) {
        const bool number =
            !word.empty() &&
            std::all_of(word.begin(), word.end(), [](unsigned char c) { return std::isdigit(c); });
        if (!number) throw bad();
        names.push_back(word);
    }
    if (names.empty() || list.back() == ',') throw bad();
    for (int i = 0; i < times; ++i) all.insert(all.end(), names.begin(), names.end());
    return all;
}

}  // namespace plumb
