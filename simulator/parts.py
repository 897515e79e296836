"""How Numba's compiler is to put code together: functions that compiled code alone calls are parts of what calls them.

By itself Numba optimises every function together with all that it calls, and makes machine code of it: of a rule at the
bottom of the engine as many times as there are levels above it, though nobody calls most of them from Python. That was
two fifths of the time that compiling took.

This leans on the inside of Numba's code generator, which is pinned in ``constraints.txt``.
"""

from typing import Any

from llvmlite.binding import Linkage, create_pass_builder, create_pipeline_tuning_options
from llvmlite.binding.newpassmanagers import RefPruneSubpasses
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import FunctionPass, register_pass
from numba.core.typed_passes import NativeLowering


class _Part(JITCodeLibrary):
    """Code of a function that other compiled code alone calls: not optimised by itself, and no machine code."""

    def _optimize_functions(self, ll_module: Any) -> None:
        ll_module.data_layout = self._codegen._data_layout

    def finalize(self) -> None:
        """Ready to be linked into its callers; what it calls itself they link as well."""
        self._raise_if_finalized()
        for library in self._linking_libraries:
            self._reload_init.update(library._reload_init)
        self._finalize_dynamic_globals()
        self._finalized = True


class _Whole(JITCodeLibrary):
    """Code of a function that Python calls, with all parts that it consists of."""

    def finalize(self) -> None:
        """Link all parts, optimise them together, make machine code."""
        self._linking_libraries = _callers_first(self)
        self._own = {function.name for function in self._final_module.functions if not function.is_declaration}
        super().finalize()

    def _keep_parts_private(self) -> None:
        """Nobody else calls the parts: how they are called, and with what, is the optimiser's to choose.

        Private, not internal: the run-time linker takes no notice of who may see a symbol, and would have other
        machine code that has a part of the same name call this one, in a way that is not this one's any more.
        """
        for function in self._final_module.functions:
            if not function.is_declaration and function.name not in self._own:
                function.linkage = Linkage.private


class _Rules(_Whole):
    """The same, of rules, which branch and follow places: they are optimised once."""

    def _optimize_final_module(self) -> None:
        self._keep_parts_private()
        # Optimised once, without loops to unroll or vectorise, of which rules have none. The highest level took longer,
        # and the code was no faster.
        tuning = create_pipeline_tuning_options(speed_level=2)
        tuning.loop_vectorization = tuning.slp_vectorization = tuning.loop_unrolling = False
        tuning.inlining_threshold = 225
        builder = create_pass_builder(self._codegen._tm, tuning)
        passes = builder.getModulePassManager()
        passes.add_refprune_pass(RefPruneSubpasses.ALL)
        passes.run(self._final_module, builder)


class _Loops(_Whole):
    """The same, of loops over arrays of numbers: what can be done for many at once is."""

    def _optimize_final_module(self) -> None:
        tuning = create_pipeline_tuning_options(speed_level=3)
        tuning.loop_vectorization = tuning.slp_vectorization = tuning.loop_unrolling = True
        builder = create_pass_builder(self._codegen._tm, tuning)
        for _ in range(2):
            # As Numba does: what the first time has inlined and pruned is seen by the second.
            passes = builder.getModulePassManager()
            passes.add_refprune_pass(RefPruneSubpasses.ALL)
            passes.run(self._final_module, builder)


def _callers_first(whole: JITCodeLibrary) -> list[JITCodeLibrary]:
    """All parts: LLVM drops, as it links, what nothing refers to yet."""
    seen, found = set(), []

    def follow(library: JITCodeLibrary) -> None:
        for called in library._linking_libraries:
            if called not in seen:
                seen.add(called)
                follow(called)
        found.append(library)

    follow(whole)
    return found[-2::-1]


@register_pass(mutates_CFG=False, analysis_only=False)
class _IsPart(FunctionPass):
    _name = "is_part"

    def __init__(self) -> None:
        FunctionPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        state.library = _Part(state.targetctx.codegen(), state.func_id.func_qualname)
        return False


@register_pass(mutates_CFG=False, analysis_only=False)
class _IsWhole(FunctionPass):
    _name = "is_whole"
    _library: type[_Whole] = _Whole

    def __init__(self) -> None:
        FunctionPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        state.library = self._library(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        return False


@register_pass(mutates_CFG=False, analysis_only=False)
class _IsOfRules(_IsWhole):
    _name = "is_of_rules"
    _library = _Rules


@register_pass(mutates_CFG=False, analysis_only=False)
class _IsOfLoops(_IsWhole):
    _name = "is_of_loops"
    _library = _Loops


@register_pass(mutates_CFG=True, analysis_only=False)
class _LowerPart(NativeLowering):
    _name = "lower_part"

    def run_pass(self, state: Any) -> bool:
        """Lower it, and tell others of it, without asking for its machine code."""
        state.flags.no_compile = True
        super().run_pass(state)
        # Numba knows a function by what Python would call, and wants something built in: this takes no number.
        entry_point = object().__format__
        state.targetctx.insert_user_function(entry_point, state.cr.fndesc, [state.library])
        state["cr"] = state.cr._replace(cfunc=entry_point)
        return True


# Passes for what no rule has: with blocks, closures, expressions of whole arrays, literals as types. To look for it
# takes a tenth of the compiling.
_NEEDLESS = {
    "with_lifting", "inline_closure_likes", "Rewrite dynamic raises", "make_function_op_code_to_jit_function",
    "literal_unroll", "LiteralPropagation", "find_literally", "inline_inlinables", "inline_overloads",
    "nopython_rewrites", "dump_parfor_diagnostics", "nopython_supported_feature_validation", "annotate_types",
    "rewrite_semantic_constants", "generic_rewrites", "dead_branch_prune",
}  # fmt: skip


class OF_PART(CompilerBase):  # noqa: N801 - a value among Numba's options
    """For functions that compiled code alone calls."""

    def define_pipelines(self) -> list[Any]:
        """Numba's passes but some, with another library and another end."""
        passes = DefaultPassBuilder.define_nopython_pipeline(self.state)
        passes.add_pass_after(_IsPart, passes.passes[0][0])
        passes.passes = [
            (_LowerPart if pass_ is NativeLowering else pass_, text)
            for pass_, text in passes.passes
            if pass_._name not in _NEEDLESS
        ]
        passes.finalize()
        return [passes]


class OF_WHOLE(CompilerBase):  # noqa: N801
    """For functions that Python calls."""

    _first: type[FunctionPass] = _IsWhole

    def define_pipelines(self) -> list[Any]:
        """Numba's passes, with another library."""
        passes = DefaultPassBuilder.define_nopython_pipeline(self.state)
        passes.add_pass_after(self._first, passes.passes[0][0])
        passes.finalize()
        return [passes]


class OF_RULES(OF_WHOLE):  # noqa: N801
    """For functions that Python or other machine code calls, and that consist of rules."""

    _first = _IsOfRules


class OF_LOOPS(OF_WHOLE):  # noqa: N801
    """For functions that Python or other machine code calls, and that are loops over arrays of numbers."""

    _first = _IsOfLoops
