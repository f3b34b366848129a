#include "cli/man_page.h"

#include "cli/exit_code.h"
#include "config/config.h"
#include "ops/attention_kernel.h"
#include "plumb/build_info.h"

#include <fmt/format.h>

#include <sstream>

namespace plumb {
namespace {

// Text that troff takes as it is: a backslash, a leading dot or quote and a dash mean something.
std::string troff(const std::string& text) {
    std::string out;
    for (const char c : text) {
        if ((c == '.' || c == '\'') && (out.empty() || out.back() == '\n')) out += "\\&";
        if (c == '\\')
            out += "\\e";
        else if (c == '-')
            out += "\\-";
        else
            out += c;
    }
    return out;
}

std::string term(const std::string& name, const std::string& text) {
    return fmt::format(".TP\n\\fB{}\\fR\n{}\n", troff(name), troff(text.empty() ? "\n" : text));
}

std::string option_terms(const CommandDoc& doc) {
    std::string out;
    for (const OptionDoc& o : doc.options) {
        std::string name;
        for (const std::string& n : o.names) name += (name.empty() ? "" : ", ") + n;
        if (!o.positional && !o.value.empty()) name += " " + o.value;
        if (o.many) name += " ...";
        out += term(name, o.text);
    }
    return out;
}

std::string command_section(const CommandDoc& doc) {
    std::string out = fmt::format(".SS {}\n{}\n", troff(doc.name), troff(doc.text));
    out += option_terms(doc);
    std::istringstream footer(doc.footer);
    std::string line, example;
    while (std::getline(footer, line))
        if (line.starts_with("  plumb ")) example += troff(line.substr(2)) + "\n";
    if (!example.empty() && doc.commands.empty()) out += ".PP\n.nf\n.RS\n" + example + ".RE\n.fi\n";
    for (const CommandDoc& below : doc.commands) out += command_section(below);
    return out;
}

std::string settings_section() {
    std::string out =
        ".SH SETTINGS\nA setting is typed as key=value, or stands in a TOML file given with \\-c; "
        "a "
        "file may begin with extends = \"other.toml\".\n";
    for (const FieldInfo& f : fields())
        out += term(f.key, fmt::format("{} ({}, default {}{})", f.help, f.type, f.default_value,
                                       f.allowed.empty() ? "" : ", " + f.allowed));
    return out;
}

std::string exit_section() {
    std::string out = ".SH EXIT STATUS\n";
    for (const ExitMeaning& e : exit_meanings()) out += term(std::to_string(e.code), e.text);
    return out;
}

}  // namespace

std::string man_page(const CommandDoc& plumb) {
    std::string out =
        fmt::format(".TH PLUMB 1 \"\" \"plumb {}\" \"User Commands\"\n", build_info::version);
    out +=
        ".SH NAME\nplumb \\- train small transformers with interchangeable residual connections\n";
    out += ".SH SYNOPSIS\n\\fBplumb\\fR COMMAND [OPTIONS]\n.SH DESCRIPTION\n" + troff(plumb.text) +
           "\n";
    out += ".SH COMMANDS\n";
    for (const CommandDoc& c : plumb.commands) out += command_section(c);
    out += settings_section() + exit_section();
    out += ".SH ENVIRONMENT\n" +
           term("OMP_NUM_THREADS, SLURM_CPUS_PER_TASK", "threads, where --threads does not say") +
           term(kAttentionVariable,
                fmt::format("the kernel of attention on a CPU, where not the usual one: {}",
                            fmt::join(attention_kernel_names(), ", "))) +
           term("NO_COLOR", "if set, nothing is coloured") + term("COLUMNS", "width of the page");
    return out;
}

}  // namespace plumb
