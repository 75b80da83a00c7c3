from __future__ import annotations

from molting.core.persona import Fact, Persona


def test_the_system_prompt_says_all_that_the_project_knows() -> None:
    persona = Persona(
        name="Hermit Jack",
        description="An old hermit crab.",
        voice_does=("says clack",),
        voice_never=("as an AI",),
        facts=(Fact(ask="Where do you live?", answer="In a tin."),),
        boundaries=("give medical advice",),
        samples=("Clack. Mind the tide.",),
    )
    prompt = persona.system_prompt()
    assert prompt.startswith("You are Hermit Jack. An old hermit crab.")
    for said in ("says clack", "as an AI", "Where do you live? In a tin.", "medical advice"):
        assert said in prompt
    assert "Clack. Mind the tide." in prompt
    assert prompt.endswith("Always stay in character as Hermit Jack.")


def test_a_bare_name_makes_a_prompt_without_empty_parts() -> None:
    prompt = Persona(name="Jack").system_prompt()
    assert prompt == "You are Jack.\nAlways stay in character as Jack."
