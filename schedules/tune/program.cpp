// SPDX-License-Identifier: Apache-2.0
#include "program.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <sstream>
#include <stdexcept>
#include <utility>

namespace halnorm_tune {
namespace {

constexpr double kLinkLimit = 120;
constexpr char kRecorderHeader[] = "#include \"trial_launches.h\"\n";

std::string contents(const std::string &file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) throw std::runtime_error(file + " cannot be read");
  return std::string(std::istreambuf_iterator<char>(stream), {});
}

void write(const std::string &file, const std::string &text) {
  std::ofstream stream(file, std::ios::binary);
  stream << text;
  if (!stream.flush()) throw std::runtime_error(file + " cannot be written");
}

std::string launch_of(const Point &point) {
  std::string launch = "Launch()";
  for (const auto &[word, value] : parse_settings(point.launch())) {
    launch += ".set_" + word + "(" + std::to_string(value) + ")";
  }
  return launch;
}

}  // namespace

ProgramBuilder::ProgramBuilder(const Kit &kit, const std::string &target, std::string directory,
                               int jobs, double generate_limit)
    : kit_(kit),
      target_(kit.target_named(target)),
      for_cuda_(target_.halide_target.find("-cuda-") != std::string::npos),
      directory_(std::move(directory)),
      program_(directory_ + "/halnorm_trial"),
      jobs_(jobs),
      generate_limit_(generate_limit) {
  std::filesystem::create_directories(directory_);
  target_number_ = std::to_string(&target_ - kit.targets.data());
  std::istringstream table(contents(kit_.tables + "/kernel_table.inc"));
  static const std::regex entry(R"(HALNORM_KERNEL\((\w+), \w+, \w+, \w+, ([0-9]+),.*)");
  for (std::string line; std::getline(table, line);) {
    std::smatch match;
    if (!std::regex_match(line, match, entry) || match[2] != target_number_) continue;
    library_table_ += line + "\n";
    library_symbols_.push_back(match[1]);
  }
  if (library_symbols_.empty()) {
    throw std::runtime_error("the build has no kernel for the target '" + target + "'");
  }
}

Command ProgramBuilder::command(const Family &family, const Point &point, const std::string &symbol,
                                const std::string &kind) const {
  Command words = {"env",
                   "HL_LLVM_ARGS=" + target_.llvm_arguments,
                   kit_.generators,
                   "-g",
                   family.generator,
                   "-f",
                   symbol,
                   "-n",
                   symbol,
                   "-o",
                   directory_,
                   "-e",
                   kind,
                   "target=" + target_.halide_target + "-" + kit_.kernel_features,
                   "storage=" + family.dtype};
  words.insert(words.end(), family.parameters.begin(), family.parameters.end());
  std::istringstream knobs(point.knobs());
  for (std::string knob; knobs >> knob;) words.push_back(knob);
  return words;
}

std::vector<Built> ProgramBuilder::build(const Family &family, const std::vector<Point> &points) {
  std::vector<Built> built = generate(family, points);
  const std::string table = for_cuda_ ? recording_table(&points_source_) : library_table_;
  write(directory_ + "/points.cpp", points_source_);
  link(table + points_table_, {directory_ + "/points.cpp"}, points_objects_);
  return built;
}

std::vector<Built> ProgramBuilder::generate(const Family &family,
                                            const std::vector<Point> &points) {
  points_table_.clear();
  points_source_ = for_cuda_ ? kRecorderHeader : "";
  points_objects_.clear();
  // Points that differ in the launch only have one kernel, under as many names in the table.
  std::map<std::string, size_t> first_with_knobs;
  std::vector<Command> commands;
  std::vector<size_t> command_of;
  for (size_t i = 0; i < points.size(); ++i) {
    const auto [entry, is_new] = first_with_knobs.try_emplace(points[i].knobs(), commands.size());
    command_of.push_back(entry->second);
    if (!is_new) continue;
    commands.push_back(
        command(family, points[i], "halnorm_trial_" + std::to_string(entry->second), "object"));
  }
  const std::vector<Finished> made = run_all(commands, jobs_, generate_limit_);

  std::vector<Built> kernels(made.size());
  for (size_t i = 0; i < made.size(); ++i) {
    kernels[i].symbol = "halnorm_trial_" + std::to_string(i);
    kernels[i].trouble = made[i].trouble();
    kernels[i].status = made[i].timed_out ? "timeout" : made[i].signal ? "crashed" : "illegal";
    if (!made[i].good()) continue;
    points_objects_.push_back(directory_ + "/" + kernels[i].symbol + ".o");
    kernels[i].weight = weigh(points_objects_.back());
  }
  std::vector<Built> built;
  for (size_t i = 0; i < points.size(); ++i) {
    Built one = kernels[command_of[i]];
    const std::string kernel = std::exchange(one.symbol, "halnorm_point_" + std::to_string(i));
    built.push_back(one);
    if (!one.trouble.empty()) continue;
    points_table_ += "HALNORM_KERNEL(" + one.symbol + ", " + family.operation + ", " + family.part +
                     ", " + family.dtype + ", " + target_number_ + ", kAnyLength, 0, " +
                     std::to_string(points[i].rows()) + ", " + launch_of(points[i]) + ")\n";
    points_source_ += for_cuda_
                          ? recorder(one.symbol, kernel)
                          : "extern \"C\" int " + kernel + "_argv(void **);\nextern \"C\" int " +
                                one.symbol + "_argv(void **arguments) { return " + kernel +
                                "_argv(arguments); }\n";
  }
  return built;
}

std::string ProgramBuilder::recorder(const std::string &name, const std::string &kernel) const {
  return "extern \"C\" int " + kernel +
         "_argv(void **);\nextern \"C\" const halide_filter_metadata_t *" + kernel +
         "_metadata();\nextern \"C\" int " + name +
         "_argv(void **arguments) {\n  return halnorm_tune::run_recorded(" + kernel + "_argv, \"" +
         kernel + "\", " + kernel + "_metadata(), arguments);\n}\n";
}

std::string ProgramBuilder::wrap_library(
    const std::string &prefix, std::string *source,
    const std::function<std::string(size_t number, const std::string &kernel)> &wrapped) const {
  std::string table = library_table_;
  for (size_t i = 0; i < library_symbols_.size(); ++i) {
    const std::string entry = "HALNORM_KERNEL(" + library_symbols_[i] + ",";
    table.replace(table.find(entry), entry.size(),
                  "HALNORM_KERNEL(" + prefix + std::to_string(i) + ",");
    *source += wrapped(i, library_symbols_[i]);
  }
  return table;
}

std::string ProgramBuilder::recording_table(std::string *source) const {
  return wrap_library("halnorm_recorded_", source, [&](size_t number, const std::string &kernel) {
    return recorder("halnorm_recorded_" + std::to_string(number), kernel);
  });
}

void ProgramBuilder::build_profiler() {
  if (for_cuda_) {
    std::string recorders = kRecorderHeader;
    const std::string table = recording_table(&recorders);
    write(directory_ + "/profile.cpp", recorders);
    return link(table, {directory_ + "/profile.cpp"}, {});
  }
  std::string list, wrappers = "#include \"trial_profile.h\"\n";
  const std::string table =
      wrap_library("halnorm_profiled_", &wrappers, [&](size_t number, const std::string &kernel) {
        list += "{\"" + kernel + "\", 0},\n";
        return "extern \"C\" int " + kernel +
               "_argv(void **);\nextern \"C\" int halnorm_profiled_" + std::to_string(number) +
               "_argv(void **arguments) {\n  return halnorm_tune::profiled<" + kernel +
               "_argv>(halnorm_tune::profiles + " + std::to_string(number) + ", arguments);\n}\n";
      });
  wrappers += "namespace halnorm_tune {\nProfile profiles[] = {" + list +
              "};\nconst int profile_count = " + std::to_string(library_symbols_.size()) + ";\n}\n";
  write(directory_ + "/profile.cpp", wrappers);
  link(table, {directory_ + "/profile.cpp"}, {});
}

// The archive has a profile of its own: a member that defines what is already there is not taken.
void ProgramBuilder::link(const std::string &table, const std::vector<std::string> &sources,
                          const std::vector<std::string> &objects) {
  write(directory_ + "/kernel_table.inc", table);
  Command command = kit_.compiler;
  command.insert(command.end(),
                 {"-o", program_, "-I" + directory_, "-I" + kit_.tables, "-I" + kit_.source,
                  "-I" + kit_.source + "/runtime", "-I" + kit_.schedules() + "/tune",
                  kit_.source + "/runtime/dispatch.cpp"});
  command.insert(command.end(), sources.begin(), sources.end());
  command.insert(command.end(), objects.begin(), objects.end());
  for (const std::string &symbol : library_symbols_) {
    command.push_back(kit_.kernels + "/" + symbol + ".o");
  }
  // What kernels for CUDA call: trial_launches.cpp. A program that opens the driver is not static.
  command.insert(command.end(),
                 {kit_.archive, "-pthread", "-lm", "-Wl,--wrap=halide_cuda_run",
                  "-Wl,--wrap=halide_cuda_initialize_kernels", for_cuda_ ? "-ldl" : "-static"});
  const Finished linked = run(command, kLinkLimit);
  if (!linked.good()) throw std::runtime_error("linking a trial " + linked.trouble());
}

std::string ProgramBuilder::assembly(const Family &family, const Point &point) {
  const Finished made =
      run(command(family, point, "halnorm_trial_text", "assembly"), generate_limit_);
  if (!made.good()) throw std::runtime_error("the generator " + made.trouble());
  return contents(directory_ + "/halnorm_trial_text.s");
}

}  // namespace halnorm_tune
