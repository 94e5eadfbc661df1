// SPDX-License-Identifier: Apache-2.0
#include "object_file.h"

#include <elf.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace halnorm_tune {
namespace {

template <typename T>
T read_at(const std::string &file, uint64_t at) {
  T value;
  if (at + sizeof value > file.size()) throw std::runtime_error("a file in ELF ends too early");
  std::memcpy(&value, file.data() + at, sizeof value);
  return value;
}

std::string contents(const std::string &name) {
  std::ifstream stream(name, std::ios::binary);
  const std::string file(std::istreambuf_iterator<char>(stream), {});
  if (file.size() < sizeof(Elf64_Ehdr) || file[EI_CLASS] != ELFCLASS64 ||
      std::memcmp(file.data(), ELFMAG, SELFMAG) != 0) {
    throw std::runtime_error(name + " is no 64-bit ELF file");
  }
  return file;
}

std::vector<Elf64_Shdr> sections_of(const std::string &file) {
  const auto header = read_at<Elf64_Ehdr>(file, 0);
  std::vector<Elf64_Shdr> sections;
  for (uint64_t i = 0; i < header.e_shnum; ++i) {
    sections.push_back(read_at<Elf64_Shdr>(file, header.e_shoff + i * sizeof(Elf64_Shdr)));
  }
  return sections;
}

}  // namespace

Weight weigh(const std::string &object) {
  const std::string file = contents(object);
  Weight weight;
  weight.digest = 14695981039346656037u;  // FNV-1a
  for (const Elf64_Shdr &section : sections_of(file)) {
    if ((section.sh_flags & SHF_ALLOC) == 0 || section.sh_type != SHT_PROGBITS) continue;
    weight.bytes += static_cast<int64_t>(section.sh_size);
    if ((section.sh_flags & SHF_EXECINSTR) == 0) continue;  // constants have the name among them
    for (uint64_t at = 0; at < section.sh_size; ++at) {
      weight.digest =
          (weight.digest ^ read_at<uint8_t>(file, section.sh_offset + at)) * 1099511628211u;
    }
  }
  return weight;
}

std::vector<Function> functions_of(const std::string &program) {
  const std::string file = contents(program);
  const std::vector<Elf64_Shdr> sections = sections_of(file);
  std::vector<Function> functions;
  for (const Elf64_Shdr &table : sections) {
    if (table.sh_type != SHT_SYMTAB || table.sh_link >= sections.size()) continue;
    for (uint64_t at = 0; at < table.sh_size; at += sizeof(Elf64_Sym)) {
      const auto symbol = read_at<Elf64_Sym>(file, table.sh_offset + at);
      const uint64_t name = sections[table.sh_link].sh_offset + symbol.st_name;
      if (ELF64_ST_TYPE(symbol.st_info) != STT_FUNC || name >= file.size()) continue;
      functions.push_back({file.c_str() + name, symbol.st_value, symbol.st_size});
    }
  }
  return functions;
}

}  // namespace halnorm_tune
