"""What WhatsApp writes in the place of a message, in the languages it is most exported in.

An iPhone marks its own words with a left-to-right mark, whatever the language; Android does not,
so there the phrases decide. A phrase that is missing here leaves a short odd message, no loss.
"""

from __future__ import annotations

import re

MARK = "\u200e"
_MARKS = re.compile("[\u200e\u202a-\u202e\u2066-\u2069\ufeff]")

_OMITTED = (
    r"omitted|omitid[oa]s?|ocult[oa]|ocultad[oa]s?|omiss[ie]|omess[oaie]|omis(?:e|es)?|absente?|"
    r"weggelassen|ausgeschlossen|weggelaten|pominięt[oey]|dahil edilmedi|uteslutet|utelämnat|"
    r"udeladt|utelatt"
)
_MEDIA = re.compile(
    rf"<(?:media|medien|médias?|mídia|multimedia|archivo multimedia|arquivo de mídia|medya|"
    rf"media weggelaten|fichier multimédia|pliki|medier?|medie|mediefil)\s*(?:{_OMITTED}|exclu)?>"
    r"|<без медиафайлов>|<媒体文件已省略>|<省略媒體檔>|<省略多媒体文件>|<メディアは含まれていません>|<미디어 파일을 제외한 내보내기>"
    r"|(?:[^\n]{1,120}• [^\n]{0,30})?"
    r"(?:image|video|video note|audio|sticker|gif|document|contact card|imagen|vídeo|documento|imagem|"
    r"figurinha|áudio|tarjeta de contacto|bild|dokument|kontaktkarte|photo|vidéo|immagine|afbeelding|"
    rf"görüntü|çıkartma|ses) (?:{_OMITTED})\.?"
    r"|<(?:attached|adjunto|anhang|pièce jointe|anexado|allegato|bijgevoegd|прикреплено|ek)\s?: [^<>\n]+>"
    r"|[^\n]{1,120} \((?:file attached|archivo adjunto|datei angehängt|fichier joint|arquivo anexado|"
    r"file allegato|bestand bijgevoegd|файл добавлен|dosya ekli)\)"
    r"|(?-i:null)|<view once (?:photo|video|voice message)>|you sent a view once .{1,30}"
    r"|(?:location|ubicación|localização|standort): .{0,80}https?://\S+|live location shared",
    re.IGNORECASE,
)
_DELETED = re.compile(
    r"(?:this message was deleted|you deleted this message|this message was deleted by admin[^\n]*"
    r"|se eliminó este mensaje|este mensaje fue eliminado|eliminaste este mensaje"
    r"|diese nachricht wurde gelöscht|du hast diese nachricht gelöscht"
    r"|ce message a été supprimé|vous avez supprimé ce message"
    r"|mensagem apagada|esta mensagem foi apagada|você apagou esta mensagem|apagou esta mensagem"
    r"|questo messaggio è stato eliminato|hai eliminato questo messaggio"
    r"|dit bericht (?:is|werd) verwijderd|je hebt dit bericht verwijderd"
    r"|данное сообщение удалено|вы удалили данное сообщение|сообщение удалено"
    r"|bu mesaj silindi|bu mesajı sildiniz|この?メッセージは削除されました|此消息已删除|此訊息已刪除)\.?",
    re.IGNORECASE,
)
_SERVICE = re.compile(
    r"messages (?:and calls|to this (?:chat|group))\b.{0,60}\bend-to-end encrypt.*"
    r"|missed (?:group )?(?:voice|video) call\b.*|(?:voice|video) call,? (?:no answer|\d+ (?:min|sec|h)).*"
    r"|waiting for this message\. this may take a while\.?(?: learn more)?"
    r"|your security code with .{1,80} changed\..*|this chat is with .{1,40}business.*",
    re.IGNORECASE,
)
_EDITED = re.compile(
    r"\s*<(?:this message was edited|se editó este mensaje|diese nachricht wurde bearbeitet|"
    r"ce message a été modifié|mensagem editada|questo messaggio è stato modificato|"
    r"dit bericht is bewerkt|сообщение изменено|bu mesaj düzenlendi)\.?>\s*$",
    re.IGNORECASE,
)
_ACTED = re.compile(
    r" (?:created (?:this )?group|changed (?:the|this|their|to|his|her)|added|removed|"
    r"turned (?:on|off)|pinned|joined using|left)\b",
)


def words_of(text: str) -> tuple[str, str | None]:
    """The person's own words in a message, and if there are none the reason (REASONS).

    A placeholder is the first line, or marked: the caption of a picture stays, and so does a
    line that only reads like a placeholder.
    """
    kept: list[str] = []
    reason: str | None = None
    for place, line in enumerate(text.split("\n")):
        said, found = _line(line, place == 0)
        reason = reason or found
        if found is None or said:
            kept.append(said)
    left = "\n".join(kept).strip()
    return (left, None) if left else ("", reason or "empty")


def _line(line: str, first: bool) -> tuple[str, str | None]:
    marked = line.lstrip().startswith(MARK)
    plain = _MARKS.sub("", _EDITED.sub("", line)).rstrip()
    bare = plain.strip()
    for reason, pattern in (("media", _MEDIA), ("deleted", _DELETED), ("service", _SERVICE)):
        if (first or marked) and pattern.fullmatch(bare):
            return "", reason
    if marked:
        return "", "service"
    before, mark, after = line.rpartition(MARK)
    if mark and _MEDIA.fullmatch(_MARKS.sub("", after).strip()):
        # An iPhone puts the caption before the placeholder, on the same line.
        return _MARKS.sub("", before).rstrip(), "media"
    return plain, None


def is_notice(who: str) -> bool:
    """Whether what stands before the colon is a notice's beginning: `Ana created group “Trip`."""
    return bool(_ACTED.search(who)) or who.count("“") != who.count("”") or who.count('"') % 2 == 1
